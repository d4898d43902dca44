//! The cookie by which a browser goes on with a session (RFC 6265bis). Over a connection that nobody reads it has the prefix
//! `__Host-`, so that no other host, and no page without encryption, can plant one; over any other it has another name, which
//! counts there alone.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::cookies::{cookies, name_of, pairs};

const PRIVATE: &str = "__Host-portreeve";
const PLAIN: &str = "portreeve-unencrypted";
/// Bytes of what continues a session.
const SECRET_BYTES: usize = 32;

/// The cookie of a session, as it is called at one address of the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    is_private: bool,
}

impl SessionCookie {
    /// That of a client which reaches the door so that nobody on the way reads what is sent, or not so: see
    /// [`DoorOrigin::is_private`](super::DoorOrigin::is_private).
    pub const fn at(is_private: bool) -> Self {
        Self { is_private }
    }

    const fn name(self) -> &'static str {
        if self.is_private { PRIVATE } else { PLAIN }
    }

    /// What continues a session, as a request's head has it. One of several is never chosen.
    pub fn read(self, headers: &HeaderMap) -> Option<SecretString> {
        let mut ours = cookies(headers, self.name());
        let (first, second) = (ours.next()?, ours.next());
        if second.is_some() {
            return None;
        }
        let is_one = URL_SAFE_NO_PAD.decode(first).is_ok_and(|secret| secret.len() == SECRET_BYTES);
        std::str::from_utf8(first).ok().filter(|_| is_one).map(SecretString::from)
    }

    /// Has a browser keep it for so long.
    ///
    /// # Errors
    /// Never for what a session is continued by.
    pub fn set(
        self,
        secret: &SecretString,
        life: Duration,
    ) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        self.header(secret.expose_secret(), seconds)
    }

    /// Has a browser forget it.
    ///
    /// # Errors
    /// Never.
    pub fn clear(self) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        self.header("", 0)
    }

    fn header(self, value: &str, seconds: i64) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
        let cookie = Cookie::build((self.name(), value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.is_private)
            .max_age(cookie::time::Duration::seconds(seconds));
        let mut header = HeaderValue::try_from(cookie.to_string())?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// A `Cookie` field without the door's own cookies, which are for nobody else; nothing where it is none of these alone.
/// The same field where it has none of them.
pub fn without_sessions(field: &HeaderValue) -> Option<HeaderValue> {
    let is_own = |pair: &[u8]| [PRIVATE.as_bytes(), PLAIN.as_bytes()].contains(&name_of(pair));
    if !pairs(field.as_bytes()).any(is_own) {
        return Some(field.clone());
    }
    let others: Vec<&[u8]> = pairs(field.as_bytes()).filter(|pair| !is_own(pair)).collect();
    let others = others.join(&b"; "[..]);
    if others.is_empty() { None } else { HeaderValue::from_bytes(&others).ok() }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use proptest::prelude::*;

    use super::super::door_origin::DoorOrigin;
    use super::*;

    const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFE";

    fn at(origin: &str) -> SessionCookie {
        SessionCookie::at(DoorOrigin::parse(origin).is_private())
    }

    fn read(cookie: SessionCookie, fields: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(COOKIE, HeaderValue::from_bytes(field).ok()?);
        }
        cookie.read(&headers).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn a_cookie_is_secure_where_nobody_reads_it_on_the_way() {
        let life = Duration::from_mins(1);
        let set = |origin: &str| at(origin).set(&SECRET.into(), life).unwrap().to_str().unwrap().to_owned();
        for origin in ["https://registry.example", "http://localhost:5000", "http://127.0.0.1:5000"] {
            assert_eq!(
                set(origin),
                format!("__Host-portreeve={SECRET}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60")
            );
        }
        let expected = format!("portreeve-unencrypted={SECRET}; HttpOnly; SameSite=Lax; Path=/; Max-Age=60");
        assert_eq!(set("http://registry.example"), expected);
        assert!(!format!("{:?}", at("").set(&SECRET.into(), life)).contains(SECRET));
        let clear = at("https://registry.example").clear().unwrap();
        assert_eq!(clear, "__Host-portreeve=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
    }

    #[test]
    fn each_name_counts_where_it_was_set_alone() {
        let (private, plain) =
            (format!("__Host-portreeve={SECRET}"), format!("portreeve-unencrypted={SECRET}"));
        for (origin, field, is_read) in [
            ("https://registry.example", &private, true),
            ("https://registry.example", &plain, false),
            ("http://registry.example", &plain, true),
            ("http://registry.example", &private, false),
            ("http://localhost", &plain, false),
            ("", &private, false),
        ] {
            assert_eq!(read(at(origin), &[field.as_bytes()]).is_some(), is_read, "{origin} {field}");
        }
    }

    #[test]
    fn one_of_several_is_never_chosen_and_only_what_can_be_one_is_read() {
        let cookie = at("https://registry.example");
        let (own, other) =
            (format!("__Host-portreeve={SECRET}"), format!("__Host-portreeve={}", "A".repeat(43)));
        assert_eq!(read(cookie, &[format!("a=1; {own} ;b=2").as_bytes()]).as_deref(), Some(SECRET));
        assert_eq!(read(cookie, &[b"a=1", own.as_bytes()]).as_deref(), Some(SECRET));
        let neighbour = [b"a=\xfc; ", own.as_bytes(), b"; b=\xff"].concat();
        assert_eq!(read(cookie, &[&neighbour]).as_deref(), Some(SECRET));
        for fields in [
            vec![format!("{own}; {other}")],
            vec![own.clone(), other],
            vec![format!("{own}; {own}")],
            vec!["__Host-portreeve=".to_owned()],
            vec!["__Host-portreeve".to_owned()],
            vec![format!("__host-portreeve={SECRET}")],
            vec![format!("{own}A")],
            vec![format!("__Host-portreeve={}", &SECRET[1..])],
            vec![format!("__Host-portreeve=+{}", &SECRET[1..])],
            vec![format!("__Host-portreeve=\"{SECRET}\"")],
        ] {
            let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
            assert_eq!(read(cookie, &fields), None, "{fields:?}");
        }
    }

    #[test]
    fn the_door_passes_on_every_cookie_but_its_own() {
        let others = |field: &str| {
            let field = without_sessions(&HeaderValue::try_from(field).unwrap());
            field.map(|field| field.to_str().unwrap().to_owned())
        };
        assert_eq!(others("a=1;b=2").as_deref(), Some("a=1;b=2"));
        assert_eq!(others("a=1;  __Host-portreeve=x; b=2").as_deref(), Some("a=1; b=2"));
        assert_eq!(others(" portreeve-unencrypted = x"), None);
        assert_eq!(others("__Host-portreeve=x; portreeve-unencrypted=y"), None);
        assert_eq!(others("__Host-portreeve; a=1").as_deref(), Some("a=1"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_what_is_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
            prefix in "(__Host-portreeve=|portreeve-unencrypted=|a=1; |)",
        ) {
            let field = [prefix.as_bytes(), &bytes].concat();
            if let Some(secret) = read(at("https://a"), &[&field]) {
                prop_assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), SECRET_BYTES);
            }
            if let Ok(field) = HeaderValue::from_bytes(&field) {
                let left = without_sessions(&field);
                let headers = left.map(|left| (COOKIE, left)).into_iter().collect();
                prop_assert!(at("https://a").read(&headers).is_none() && at("http://a").read(&headers).is_none());
            }
        }
    }
}
