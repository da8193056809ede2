//! Writes records and anchors from the documented format alone, to forge what a vault would never write.
