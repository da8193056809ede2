//! The two parts of a generic token.

use uuid::Uuid;

use crate::cursor::Cursor;
use crate::id::TypeId;
use crate::metadata::Metadata;
use crate::pairs;
use crate::payload::Payload;
use crate::record::{Malformed, push_text, read_text};
use crate::secret::SecretBytes;

/// The view has metadata.
pub(super) const METADATA: u8 = 1;
/// The view has the id of a type.
const TYPE: u8 = 2;

/// What a view shows of a generic token, and its type. It is written whole: a change of one field keeps the others.
#[derive(Default)]
pub(crate) struct GenericView {
    pub(crate) type_id: Option<TypeId>,
    pub(crate) metadata: Option<Metadata>,
}

/// How many bytes both parts take at most.
pub(super) fn room(view: &GenericView, payload: &Payload) -> usize {
    1 + 16 + view.metadata.as_ref().map_or(0, metadata_length) + payload.expose().len()
}

/// Flags, then the id of the type and the metadata, each if there is one.
pub(super) fn write_view(to: &mut SecretBytes, view: &GenericView) -> Result<(), Malformed> {
    let flag = |is_there, flag| if is_there { flag } else { 0 };
    to.push(&[flag(view.metadata.is_some(), METADATA) | flag(view.type_id.is_some(), TYPE)]);
    if let Some(type_id) = view.type_id {
        to.push(type_id.as_bytes());
    }
    view.metadata.as_ref().map_or(Ok(()), |metadata| write_metadata(to, metadata))
}

/// The payload's own block.
pub(super) fn write_secret(to: &mut SecretBytes, payload: &Payload) {
    // From the request's wiped block into the draft's, which is sealed in place.
    to.push(payload.expose());
}

pub(super) fn read_view(view: &[u8]) -> Option<GenericView> {
    let mut cursor = Cursor::new(view);
    let flags = cursor.u8().filter(|flags| flags & !(METADATA | TYPE) == 0)?;
    let mut view = GenericView::default();
    if flags & TYPE != 0 {
        view.type_id = Some(Uuid::from_bytes(cursor.array()?).into());
    }
    if flags & METADATA != 0 {
        view.metadata = Some(read_metadata(&mut cursor)?);
    }
    cursor.is_at_end().then_some(view)
}

pub(super) fn metadata_length(metadata: &Metadata) -> usize {
    1 + metadata.iter().map(|(key, value)| 4 + key.len() + value.len()).sum::<usize>()
}

/// A count, then each key and value behind its length.
pub(super) fn write_metadata(to: &mut SecretBytes, metadata: &Metadata) -> Result<(), Malformed> {
    to.push(&[u8::try_from(metadata.len()).map_err(|_| Malformed)?]);
    for (key, value) in metadata.iter() {
        push_text(to, key.as_bytes())?;
        push_text(to, value.as_bytes())?;
    }
    Ok(())
}

pub(super) fn read_metadata(cursor: &mut Cursor<'_>) -> Option<Metadata> {
    let count = cursor.u8().filter(|count| usize::from(*count) <= pairs::MOST)?;
    let mut metadata = Metadata::default();
    for _ in 0..count {
        metadata.insert(read_text(cursor)?, read_text(cursor)?).ok()?;
    }
    Some(metadata)
}
