//! `Authorization` headers: `Basic` (RFC 7617) and `Bearer` (RFC 6750).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::identity::Credentials;
use super::subject::UserName;

/// The longest header that is read.
const MAXIMUM_BYTES: usize = 72 * 1024;

/// What a request says about who sends it. Not for logs: a token is as it came.
pub enum Authorization<'a> {
    /// Nothing; or an empty name and an empty password, by which some clients say so.
    None,
    /// A token, which still stands in the header.
    Bearer(&'a str),
    /// A name and a password.
    Basic(Credentials),
}

/// Why a header cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected {
    /// For the client that sent it.
    pub reason: &'static str,
}

impl Rejected {
    /// A name that no user can have: told like a wrong password.
    pub const WRONG_LOGIN: Self = Self { reason: "the user name or the password is wrong" };
}

/// Reads the only header of a request.
///
/// # Errors
/// When there are several, or it is neither of the two, or malformed.
pub fn read_only<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Authorization<'a>, Rejected> {
    let mut values = values.into_iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err(Rejected { reason: "there are several `Authorization` headers" });
    }
    read(first)
}

/// Reads a header.
///
/// # Errors
/// When it is neither of the two, or malformed.
pub fn read(value: Option<&[u8]>) -> Result<Authorization<'_>, Rejected> {
    let rejected = |reason| Rejected { reason };
    let Some(value) = value else { return Ok(Authorization::None) };
    if value.len() > MAXIMUM_BYTES {
        return Err(rejected("the `Authorization` header is too long"));
    }
    let text = std::str::from_utf8(value).map_err(|_| rejected("the `Authorization` header is not ASCII"))?;
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let rest = rest.trim_start();
    if scheme.eq_ignore_ascii_case("bearer") {
        return match rest.is_empty() || rest.contains(' ') {
            true => Err(rejected("`Authorization: Bearer` has no token")),
            false => Ok(Authorization::Bearer(rest)),
        };
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(rejected("the `Authorization` header is neither `Basic` nor `Bearer`"));
    }
    let malformed = rejected("`Authorization: Basic` is no name and password in base64");
    let decoded = STANDARD.decode(rest).map_err(|_| malformed)?;
    let decoded = String::from_utf8(decoded).map_err(|_| malformed)?;
    let (name, password) = decoded.split_once(':').ok_or(malformed)?;
    if name.is_empty() && password.is_empty() {
        return Ok(Authorization::None);
    }
    let name = UserName::parse(name).map_err(|_| Rejected::WRONG_LOGIN)?;
    Ok(Authorization::Basic(Credentials::new(name, password)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn basic(text: &str) -> Vec<u8> {
        format!("Basic {}", STANDARD.encode(text)).into_bytes()
    }

    #[test]
    fn names_and_passwords_are_read_and_a_password_may_have_colons() {
        let header = basic("alice:a:b ü");
        let Ok(Authorization::Basic(credentials)) = read(Some(&header)) else { panic!() };
        assert_eq!((credentials.name.as_str(), credentials.password.expose_secret()), ("alice", "a:b ü"));
        assert!(!format!("{credentials:?}").contains("a:b"));
        assert!(matches!(read(Some(b"bAsIc  YTpi")), Ok(Authorization::Basic(_))));
    }

    #[test]
    fn an_empty_name_with_an_empty_password_is_nobody() {
        assert!(matches!(read(Some(&basic(":"))), Ok(Authorization::None)));
        assert!(matches!(read(None), Ok(Authorization::None)));
        assert_eq!(read(Some(&basic(":x"))).err(), Some(Rejected::WRONG_LOGIN));
    }

    #[test]
    fn one_of_several_is_never_chosen() {
        let both = [&b"Basic YTpi"[..], b"Basic YTpi"];
        assert!(read_only(both).is_err());
        assert!(matches!(read_only([both[0]]), Ok(Authorization::Basic(_))));
        assert!(matches!(read_only([]), Ok(Authorization::None)));
    }

    #[test]
    fn tokens_are_read_as_they_are() {
        let Ok(Authorization::Bearer(token)) = read(Some(b"Bearer a.b.c")) else { panic!() };
        assert_eq!(token, "a.b.c");
    }

    #[test]
    fn what_is_neither_is_rejected() {
        for header in [
            "",
            "Basic",
            "Basic !",
            "Basic YQ==",
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Digest x",
            "Negotiate",
            "\u{e4}",
        ] {
            assert!(read(Some(header.as_bytes())).is_err(), "{header}");
        }
        assert!(read(Some(&[0xff, 0xfe])).is_err());
        assert!(read(Some(&vec![b'a'; MAXIMUM_BYTES + 1])).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(Some(&bytes));
        }
    }
}
