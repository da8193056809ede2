//! The two parts of a generic token.

use crate::cursor::Cursor;
use crate::metadata::Metadata;
use crate::pairs;
use crate::payload::Payload;
use crate::record::{Malformed, push_text, read_text};
use crate::secret::SecretBytes;

/// The view has metadata.
pub(super) const METADATA: u8 = 1;

/// What a view shows of a generic token. It is written whole: a change of one field keeps the others.
pub(crate) struct GenericView {
    pub(crate) metadata: Option<Metadata>,
}

/// How many bytes both parts take at most.
pub(super) fn room(view: &GenericView, payload: &Payload) -> usize {
    1 + view.metadata.as_ref().map_or(0, metadata_length) + payload.expose().len()
}

/// Flags, then the metadata if there is any.
pub(super) fn write_view(to: &mut SecretBytes, view: &GenericView) -> Result<(), Malformed> {
    to.push(&[if view.metadata.is_some() { METADATA } else { 0 }]);
    view.metadata.as_ref().map_or(Ok(()), |metadata| write_metadata(to, metadata))
}

/// The payload's own block.
pub(super) fn write_secret(to: &mut SecretBytes, payload: &Payload) {
    // From the request's wiped block into the draft's, which is sealed in place.
    to.push(payload.expose());
}

pub(super) fn read_view(view: &[u8]) -> Option<GenericView> {
    let mut cursor = Cursor::new(view);
    let flags = cursor.u8().filter(|flags| flags & !METADATA == 0)?;
    let metadata = if flags & METADATA == 0 { None } else { Some(read_metadata(&mut cursor)?) };
    cursor.is_at_end().then_some(GenericView { metadata })
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
