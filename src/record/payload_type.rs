//! The one part of a payload type: nothing of it is secret.

use crate::cursor::Cursor;
use crate::pairs;
use crate::record::{Malformed, push_text, read_text};
use crate::secret::SecretBytes;

/// How many bytes the part takes.
pub(super) fn room(name: &str, schema: &str) -> usize {
    4 + name.len() + schema.len()
}

/// The name, then the schema as it came.
pub(super) fn write_view(to: &mut SecretBytes, name: &str, schema: &str) -> Result<(), Malformed> {
    push_text(to, name.as_bytes())?;
    push_text(to, schema.as_bytes())
}

pub(super) fn read_view(view: &[u8]) -> Option<(&str, &str)> {
    let mut cursor = Cursor::new(view);
    let name = pairs::check_value(read_text(&mut cursor)?).ok()?;
    let schema = read_text(&mut cursor)?;
    cursor.is_at_end().then_some((name, schema))
}
