//! The house holds: imports go down, the words of a request know nothing of the works of storage nor those of them, secrets
//! are looked at in few places, and no file outgrows its reader. This test reads the sources and fails on anything else.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// Where a top-level module stands. The words and the works are two wings of one floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Floor {
    Ground,
    Values,
    Words,
    Works,
    Vault,
}

const HOUSE: &[(&str, Floor)] = &[
    ("clock", Floor::Ground),
    ("cursor", Floor::Ground),
    ("error", Floor::Ground),
    ("lexer", Floor::Ground),
    ("locked", Floor::Ground),
    ("pairs", Floor::Ground),
    ("process", Floor::Ground),
    ("random", Floor::Ground),
    ("rules", Floor::Ground),
    ("secret", Floor::Ground),
    ("access", Floor::Values),
    ("card", Floor::Values),
    ("destination", Floor::Values),
    ("duplicates", Floor::Values),
    ("id", Floor::Values),
    ("lifetime", Floor::Values),
    ("metadata", Floor::Values),
    ("payload", Floor::Values),
    ("schema", Floor::Values),
    ("template", Floor::Values),
    ("request", Floor::Words),
    ("response", Floor::Words),
    ("keys", Floor::Works),
    ("record", Floor::Works),
    ("seal", Floor::Works),
    ("store", Floor::Works),
];

/// Neighbours on one floor that one of them may import; never the other way round.
const NEIGHBOURS: &[(&str, &str)] = &[
    ("locked", "process"),
    ("pairs", "error"),
    ("random", "error"),
    ("random", "process"),
    ("schema", "payload"),
    ("template", "card"),
    ("keys", "seal"),
    ("record", "seal"),
];

/// Crates that only these modules may name.
const RESERVED: &[(&str, &[&str])] = &[
    ("argon2", &["keys"]),
    ("base16ct", &["keys", "seal"]),
    ("base64ct", &["keys"]),
    ("chacha20", &["random", "seal"]),
    ("chacha20poly1305", &["seal"]),
    ("forkguard", &["process"]),
    ("form_urlencoded", &["template"]),
    ("getrandom", &["random"]),
    ("hkdf", &["keys"]),
    ("hmac", &["seal"]),
    ("jsonschema", &["schema"]),
    ("memmap2", &["locked"]),
    ("quick_cache", &["store", "vault"]),
    ("ring", &["seal"]),
    ("sha2", &["keys", "seal"]),
    ("siphasher", &["store"]),
    ("sled", &["store"]),
    ("url", &["destination"]),
];

/// Where `serde_json` may be named, whose buffers nobody wipes: events, schemas and modules hold no secret, and what the
/// validator of a schema takes for JSON is the payload in its own block.
const SERDE_JSON: &[&str] = &[
    "request/access/registry.rs",
    "response/access.rs",
    "response/payload_type.rs",
    "schema/compile.rs",
    "schema/lent.rs",
    "schema/mod.rs",
    "schema/place.rs",
    "schema/quiet.rs",
    "schema/reach.rs",
    "vault/access/registry.rs",
    "vault/event.rs",
];

/// Where secrets may be looked at, and in how many places of each file.
const EXPOSED: &[(&str, usize)] = &[
    ("card/pan.rs", 3),
    ("keys/anchor.rs", 3),
    ("keys/credential.rs", 1),
    ("keys/index.rs", 1),
    ("keys/mod.rs", 5),
    ("keys/ring.rs", 1),
    ("keys/source.rs", 6),
    ("payload.rs", 7),
    ("record/generic.rs", 2),
    ("record/mod.rs", 3),
    ("record/pci.rs", 3),
    ("request/idempotency.rs", 1),
    ("request/text.rs", 1),
    ("vault/access/api_key.rs", 1),
    ("vault/card.rs", 3),
    ("vault/fill.rs", 2),
    ("vault/fingerprint.rs", 1),
    ("vault/pci.rs", 1),
    ("vault/security_code/code.rs", 2),
    ("vault/security_code/mod.rs", 2),
    ("vault/standing.rs", 1),
];

/// What can be done with a handle on a vault and is no operation: it reads a constant of the vault, or gives another handle.
const NO_OPERATIONS: &[&str] = &["acting_as", "rules"];

/// Lines of code that a file may have, without docs, comments and tests.
const MOST_LINES: usize = 400;

fn floor(module: &str) -> Floor {
    let of_house = HOUSE.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor);
    of_house.unwrap_or_else(|| {
        if module == "vault" { Floor::Vault } else { panic!("{module} has no floor: add it to HOUSE") }
    })
}

fn may_import(from: &str, to: &str) -> bool {
    let down = match (floor(from), floor(to)) {
        (Floor::Ground, _) | (_, Floor::Vault) => false,
        (Floor::Values, to) => to == Floor::Ground,
        (Floor::Words | Floor::Works, to) => matches!(to, Floor::Ground | Floor::Values),
        (Floor::Vault, _) => true,
    };
    from == to || down || NEIGHBOURS.contains(&(from, to))
}

/// A source file of the library, without its tests.
struct Source {
    /// Below `src`, for instance `store/mod.rs`.
    name: String,
    /// Its path in the module tree: `["store"]`.
    module: Vec<String>,
    code: syn::File,
    text: String,
}

/// The sources of the library alone.
fn library() -> Vec<Source> {
    let mut sources = sources();
    sources.retain(|source| !source.name.starts_with("bin/"));
    sources
}

/// Every source, those of the command line included.
fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let read = |file: PathBuf| {
        let name = file.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/");
        let text = fs::read_to_string(&file).unwrap();
        let mut code = syn::parse_file(&text).unwrap();
        code.items.retain(|item| !is_test(item));
        let module = name.trim_end_matches(".rs").trim_end_matches("/mod").split('/').map(str::to_owned).collect();
        Source { name, module, code, text }
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Every path that a file names: imports with their trees spread out, and paths within the code, macros included.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
    exposed: usize,
}

impl Paths {
    fn spread(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.spread(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.found.push(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.found.push(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.found.push(prefix.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.spread(item, prefix)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.spread(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.found.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.exposed += usize::from(call.method == "expose" || call.method == "expose_mut");
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let tokens = call.tokens.to_string().replace(' ', "");
        for (at, _) in tokens.match_indices("crate::") {
            let path = tokens
                .get(at..)
                .unwrap()
                .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                .next()
                .unwrap();
            self.found.push(path.split("::").map(str::to_owned).collect());
        }
        self.exposed += tokens.matches(".expose(").count() + tokens.matches(".expose_mut(").count();
        visit::visit_macro(self, call);
    }
}

fn paths(source: &Source) -> Paths {
    let mut paths = Paths::default();
    paths.visit_file(&source.code);
    paths
}

/// What the root re-exports: the name and the module that it comes from.
fn root_names(sources: &[Source]) -> BTreeMap<String, String> {
    let root = sources.iter().find(|source| source.name == "lib.rs").unwrap();
    let from_crate = paths(root).found.into_iter().filter(|path| path.len() > 2 && path[0] == "crate");
    from_crate.map(|path| (path.last().unwrap().clone(), path[1].clone())).collect()
}

/// The top-level module that a path leads to, if it stays in the crate.
fn target(path: &[String], module: &[String], root: &BTreeMap<String, String>) -> Option<String> {
    let absolute: Vec<String> = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "self" => [module, &path[1..]].concat(),
        "super" => {
            let ups = path.iter().take_while(|segment| *segment == "super").count();
            let base = module.len().checked_sub(ups)?;
            [&module[..base], &path[ups..]].concat()
        }
        _ => return None,
    };
    let first = absolute.first()?;
    Some(root.get(first).unwrap_or(first).clone())
}

#[test]
fn imports_go_down_or_stay_in_the_folder() {
    let sources = library();
    let root = root_names(&sources);
    let mut wrong = BTreeSet::new();
    let mut edges = 0;
    for source in sources.iter().filter(|source| source.name != "lib.rs") {
        let from = &source.module[0];
        for path in paths(source).found {
            let Some(to) = target(&path, &source.module, &root) else { continue };
            edges += 1;
            if !may_import(from, &to) {
                wrong.insert(format!("{} imports {}", source.name, path.join("::")));
            }
        }
    }
    assert!(edges > 100, "only {edges} imports were found: the sources are not read right");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn crates_of_one_trade_are_named_in_one_place() {
    let mut wrong = BTreeSet::new();
    for source in library() {
        for path in paths(&source).found {
            let reserved = RESERVED.iter().find(|(name, _)| path.first().is_some_and(|first| first == name));
            if reserved.is_some_and(|(_, modules)| path.len() > 1 && !modules.contains(&source.module[0].as_str())) {
                wrong.insert(format!("{} names {}", source.name, path.join("::")));
            }
            let names_serde_json = path.first().is_some_and(|first| first == "serde_json");
            if names_serde_json && !SERDE_JSON.contains(&source.name.as_str()) {
                wrong.insert(format!("{} names serde_json, whose buffers nobody wipes", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn secrets_are_looked_at_in_the_listed_places_only() {
    let counted: BTreeMap<String, usize> = library()
        .iter()
        .map(|source| (source.name.clone(), paths(source).exposed))
        .filter(|(_, exposed)| *exposed > 0)
        .collect();
    let listed: BTreeMap<String, usize> = EXPOSED.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    assert_eq!(counted, listed, "left: as counted; right: as listed in EXPOSED");
}

/// A method of a handle, and the operations that it names.
struct Method {
    name: String,
    is_of_anybody: bool,
    operations: Vec<String>,
    /// Methods of the same handle that it calls.
    calls: Vec<String>,
}

fn methods(source: &Source) -> Vec<Method> {
    let mut found = Vec::new();
    for item in &source.code.items {
        let syn::Item::Impl(block) = item else { continue };
        let syn::Type::Path(of) = &*block.self_ty else { continue };
        if block.trait_.is_some() || of.path.segments.last().is_none_or(|last| last.ident != "Vault") {
            continue;
        }
        for method in &block.items {
            let syn::ImplItem::Fn(method) = method else { continue };
            if !matches!(method.vis, syn::Visibility::Public(_)) || method.sig.receiver().is_none() {
                continue;
            }
            let mut seen = Done::default();
            seen.visit_block(&method.block);
            let is_of_anybody = !block.generics.params.is_empty();
            found.push(Method {
                name: method.sig.ident.to_string(),
                is_of_anybody,
                operations: seen.operations,
                calls: seen.calls,
            });
        }
    }
    found
}

/// The operations that a body names, and the methods of `self` that it calls.
#[derive(Default)]
struct Done {
    operations: Vec<String>,
    calls: Vec<String>,
}

impl<'ast> Visit<'ast> for Done {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let [of, name] = &names[..]
            && of == "Operation"
        {
            self.operations.push(name.clone());
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        if matches!(&*call.receiver, syn::Expr::Path(receiver) if receiver.path.is_ident("self")) {
            self.calls.push(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }
}

#[test]
fn every_method_of_a_handle_is_an_operation_and_asks_who_calls() {
    let methods: Vec<Method> = library().iter().flat_map(methods).collect();
    let by_name = |name: &str| methods.iter().find(|method| method.name == name);
    let mut done = BTreeMap::new();
    for Method { name, is_of_anybody, operations, calls } in &methods {
        let is_done_by_another =
            || calls.iter().any(|call| !NO_OPERATIONS.contains(&call.as_str()) && by_name(call).is_some());
        let is_known = NO_OPERATIONS.contains(&name.as_str()) || !operations.is_empty() || is_done_by_another();
        assert!(is_known, "{name} does something for whoever calls: it is no operation");
        done.extend(operations.iter().map(|operation| (operation.clone(), *is_of_anybody)));
    }
    let table = tokenvault::Operation::ALL.iter();
    let listed = table.map(|operation| (format!("{operation:?}"), operation.scope().is_some())).collect();
    assert_eq!(done, listed, "left: what methods do, and whether a client has it; right: what the table says of it");
    for operation in tokenvault::Operation::ALL {
        assert!(by_name(operation.as_str()).is_some(), "{operation} is named after no method");
    }
}

#[test]
fn no_file_outgrows_its_reader() {
    for source in sources() {
        let code = source.text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let lines = code.lines().filter(is_code).count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines of code", source.name);
    }
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(home.join("README.md")).unwrap();
    let names: BTreeSet<&str> = readme
        .split(['`', '(', ')', '[', ']'])
        .filter(|name| name.starts_with("tests/") || name.starts_with("src/"))
        .collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(home.join(name).exists(), "{name} is named in the README and is not there");
    }
}

#[test]
fn the_rules_can_fail() {
    assert!(may_import("vault", "store") && may_import("request", "card") && may_import("keys", "seal"));
    for (from, to) in [
        ("store", "vault"),
        ("request", "store"),
        ("store", "request"),
        ("card", "record"),
        ("seal", "keys"),
        ("error", "secret"),
    ] {
        assert!(!may_import(from, to), "{from} may import {to}");
    }
    let root = BTreeMap::from([("Vault".to_owned(), "vault".to_owned())]);
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    for (text, to) in [
        ("crate::Vault", "vault"),
        ("super::super::vault::Vault", "vault"),
        ("self::x", "store"),
        ("crate::seal::Sealer", "seal"),
    ] {
        assert_eq!(target(&path(text), &path("store::sled"), &root).as_deref(), Some(to), "{text}");
    }
    assert_eq!(target(&path("std::fs"), &path("store"), &root), None);
}
