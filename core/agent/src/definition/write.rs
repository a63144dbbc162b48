//! How definitions are written, for `serialize_with` and `skip_serializing_if`.

use serde::Serializer;
use tribune_base::duration;
use tribune_base::time::Duration;

/// As `10s`.
pub(super) fn duration<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::format(*value))
}

/// Not worth writing.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
