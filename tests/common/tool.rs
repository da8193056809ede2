//! The command line tool, run as a shell runs it, on a vault in a folder of its own.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing that the tool promises to do at once takes longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The form of an id, of no token.
pub const NOBODY: &str = "8744c9ea-a02b-4ae6-875c-b64fc333e3ef";

/// A folder with a key file, and room for a vault.
pub struct Place {
    pub folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let made = place.bare(&["keygen", place.key().to_str().unwrap()]).output().unwrap();
        assert!(made.status.success());
        place
    }

    /// One with a vault that holds nothing yet.
    pub fn with_vault() -> Self {
        let place = Self::new();
        place.run(&["create", "generic"], b"").succeeded();
        place
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("vault.key")
    }

    pub fn vault(&self) -> PathBuf {
        self.folder.path().join("cards.vault")
    }

    /// The tool with nothing said of vault and key.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenvault"));
        command.args(arguments).current_dir(self.folder.path());
        for variable in ["TOKENVAULT_KEY", "TOKENVAULT_PATH", "TOKENVAULT_CREDENTIAL"] {
            command.env_remove(variable);
        }
        command
    }

    /// The tool with its vault and key.
    pub fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(&[]);
        command.arg("--vault").arg(self.vault()).arg("--key-file").arg(self.key()).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str], input: &[u8]) -> Ran {
        ran(self.tool(arguments), input)
    }

    /// Defines an account or a module.
    pub fn define(&self, kind: &str, body: &Value) {
        self.run(&["define", kind], body.to_string().as_bytes()).succeeded();
    }

    /// Creates one token and gives its id.
    pub fn create(&self, kind: &str, request: &str) -> String {
        let answer = self.run(&["create", kind], request.as_bytes()).succeeded();
        answer.lines()[0]["id"].as_str().unwrap().to_owned()
    }
}

/// The outcome of something that waits for the tool. A broken promise fails the test rather than to stop it for ever.
#[track_caller]
pub fn soon<R: Send + 'static>(wait: impl FnOnce() -> R + Send + 'static) -> R {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(wait()));
    told.recv_timeout(PATIENCE).unwrap()
}

/// How a run ended.
pub struct Ran(pub Output);

pub fn ran(mut command: Command, input: &[u8]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // The tool may answer before it has read everything, or end without reading.
    let writer = thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran(output)
}

impl Ran {
    /// Every line of standard output, as JSON.
    pub fn lines(&self) -> Vec<Value> {
        self.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn stdout(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).unwrap()
    }

    pub fn stderr(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).unwrap()
    }

    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap()
    }

    /// Exit code 0, and silence on standard error.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!((self.code(), self.stderr()), (0, ""), "{}", self.stdout());
        self
    }

    /// Exit code 1, and silence on standard error: what was refused stands on standard output.
    #[track_caller]
    pub fn refused(self) -> Self {
        assert_eq!((self.code(), self.stderr()), (1, ""), "{}", self.stdout());
        self
    }

    /// Exit code 2, with an error body on standard error and nothing on standard output.
    #[track_caller]
    pub fn unopened(self, classifier: &str, says: &str) {
        assert_eq!((self.code(), self.stdout()), (2, ""), "{}", self.stderr());
        let body: Value = serde_json::from_str(self.stderr()).unwrap();
        assert_eq!(body["classifier"], classifier);
        assert!(body["message"].as_str().unwrap().contains(says), "{body}");
    }

    /// Exit code 2, with advice on standard error and nothing on standard output.
    #[track_caller]
    pub fn misused(&self, says: &str) {
        assert_eq!((self.code(), self.stdout()), (2, ""), "{}", self.stderr());
        assert!(self.stderr().contains(says), "{}", self.stderr());
    }
}

pub fn not_found() -> Value {
    json!({"code": 404, "classifier": "NOT_FOUND", "message": "Not found"})
}

/// The one violation of an error body.
pub fn violation(body: &Value) -> (&str, &str) {
    assert_eq!(body["code"], 422, "{body}");
    let violation = &body["validation_errors"][0];
    (violation["path"].as_str().unwrap(), violation["message"].as_str().unwrap())
}
