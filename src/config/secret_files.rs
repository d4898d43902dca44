//! Secrets that stand in files of their own, as orchestrators hand them out: for each secret a key `…_file`, in whose place
//! the content of the file counts.

use toml::Value;

use super::keys::{self, Place, SECRETS};
use super::settings::Settings;
use super::value;

/// The longest secret, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Reads the files into the settings of the secrets.
pub(super) fn read(settings: &mut Settings) {
    for secret in SECRETS {
        let file_key = format!("{secret}_file");
        let origin = settings.origin(&file_key);
        let Some(path) = settings.read(&file_key, value::path) else { continue };
        if settings.has(secret) {
            let sentence = format!("`{file_key}` and `{secret}` are both set; remove one of them");
            settings.complain(origin, sentence);
            continue;
        }
        let Place::Key(key) = keys::place(secret) else { continue };
        match content(&path) {
            Ok(text) => settings.give(key, Value::String(text), origin),
            Err(wrong) => settings.complain(
                origin,
                format!("`{file_key}` {}: {wrong}; name a file with the secret", path.display()),
            ),
        }
    }
}

/// The content of a file, without the ends of lines behind it.
fn content(path: &std::path::Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| format!("it cannot be read ({error})"))?.len();
    if length > LONGEST {
        return Err("it is longer than 64 KiB".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("it cannot be read ({error})"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}
