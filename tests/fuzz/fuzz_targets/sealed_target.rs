//! Nothing but what a door has sealed for this repository opens, and what it has sealed opens as it was.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portreeve::auth::{SealedFor, SealedTarget, TargetSeal};
use portreeve::oci::RepositoryName;

static SEAL: LazyLock<TargetSeal> = LazyLock::new(|| TargetSeal::new(&[7; 32]).expect("a key"));

fuzz_target!(|parts: (&str, &str, u16)| {
    let (upload, target, position) = parts;
    let name = |text| RepositoryName::parse(text).expect("a name");
    let (one, other) = (name("team/app"), name("team/other"));
    assert_eq!(SEAL.open(SealedFor::Upload, &one, upload), None);
    assert_eq!(SEAL.open(SealedFor::Upload, &one, &format!("portreeve.{upload}")), None);
    let target = SealedTarget { backend: "0a1b2c3d".to_owned(), path_and_query: target.to_owned() };
    let Ok(sealed) = SEAL.seal(SealedFor::Upload, &one, &target) else { return };
    assert_eq!(SEAL.open(SealedFor::Upload, &one, &sealed), Some(target));
    assert_eq!(SEAL.open(SealedFor::Upload, &other, &sealed), None);
    assert_eq!(SEAL.open(SealedFor::Pull, &one, &sealed), None);
    let mut altered = sealed.clone().into_bytes();
    let at = usize::from(position) % altered.len();
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    assert_eq!(SEAL.open(SealedFor::Upload, &one, &String::from_utf8(altered).expect("ASCII")), None);
});
