//! Files that hold secrets: the ticket keys of `[tickets] key_files`. No message shows what is in them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::order::KEY_BYTES;
use crate::order::TicketKey;

/// What a key file must look like.
const FORM: &str = "write one line `ID:HEX`, an id from 1 to 255 and 64 hexadecimal digits, such as \
                    `(printf 1:; head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \\n') > FILE` makes";

/// The key of a file: one line `ID:HEX`.
///
/// # Errors
/// A sentence that names the file and shows nothing of it.
pub(super) fn ticket_key(path: &Path) -> Result<TicketKey, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let bad = || format!("{name}: {FORM}");
    let (id, hex) = text.trim().split_once(':').ok_or_else(bad)?;
    let id = id.parse().ok().filter(|id| *id > 0).ok_or_else(bad)?;
    if hex.len() != 2 * KEY_BYTES || !hex.is_ascii() {
        return Err(bad());
    }
    let mut secret = [0; KEY_BYTES];
    for (byte, at) in secret.iter_mut().zip((0..).step_by(2)) {
        *byte =
            hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).ok_or_else(bad)?;
    }
    let first = secret[0];
    if secret.iter().all(|byte| *byte == first) {
        return Err(format!("{name}: this is no secret: {FORM}"));
    }
    Ok(TicketKey { id, secret })
}

/// Whether others than the owner may read a file.
pub(super) fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_one_line_and_is_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let hex: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&path, format!("7:{hex}\n")).unwrap();
        let key = ticket_key(&path).unwrap();
        assert_eq!((key.id, key.secret[31]), (7, 31));
        for text in [
            String::new(),
            hex.clone(),
            format!("0:{hex}"),
            format!("256:{hex}"),
            format!("7:{}", &hex[2..]),
            format!("7:{}zz", &hex[2..]),
            format!("7:{}", "00".repeat(32)),
        ] {
            std::fs::write(&path, &text).unwrap();
            let message = ticket_key(&path).unwrap_err();
            assert!(!message.contains("0102"), "{message}");
        }
    }
}
