//! By which scheme and authority a client knows the door: what a browser keeps cookies by, and calls the origin of a page.

use url::{Host, Url};

/// By which scheme and authority a client knows the door; nothing where the client named none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorOrigin {
    known_as: Option<Url>,
    /// Where the client has sent its request to: elsewhere than to the address that is configured, it is not by that encrypted.
    reached_at: Option<Url>,
}

impl DoorOrigin {
    /// Of a door that is known by this address, for a client that has reached it with this scheme and asked for this authority.
    pub fn of(external: Option<&str>, scheme: &str, host: Option<&str>) -> Self {
        let reached = |scheme: &str| host.and_then(|host| Url::parse(&format!("{scheme}://{host}")).ok());
        let Some(external) = external else {
            let here = reached(scheme);
            return Self { known_as: here.clone(), reached_at: here };
        };
        let known_as = Url::parse(external).ok();
        // A proxy has decrypted it, if it was sent there.
        let is_there = known_as
            .as_ref()
            .is_some_and(|known| reached(known.scheme()).is_none_or(|url| url.origin() == known.origin()));
        let reached_at = if is_there { known_as.clone() } else { reached(scheme) };
        Self { known_as, reached_at }
    }

    /// Reads an origin such as `https://registry.example:5000`.
    pub fn parse(text: &str) -> Self {
        let url = Url::parse(text).ok();
        Self { known_as: url.clone(), reached_at: url }
    }

    /// Whether what is sent between client and door, or the outermost proxy, is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.reached_at.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// Whether client and door are on one machine, by the name that the client calls.
    pub fn is_loopback(&self) -> bool {
        match self.reached_at.as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// Whether nobody on the way reads what is sent.
    pub fn is_private(&self) -> bool {
        self.is_encrypted() || self.is_loopback()
    }

    /// Whether a page at this URL is one of the door's.
    pub fn has(&self, url: &Url) -> bool {
        self.known_as.as_ref().is_some_and(|own| own.origin() == url.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_reads_on_the_way_is_private() {
        for (text, encrypted, private) in [
            ("https://registry.example", true, true),
            ("http://registry.example", false, false),
            ("http://localhost:5000", false, true),
            ("http://door.localhost:5000", false, true),
            ("http://localhost.example", false, false),
            ("http://127.9.0.1:5000", false, true),
            ("http://127.0.0.1.example", false, false),
            ("http://[::1]:5000", false, true),
            ("http://[fd00::1]", false, false),
            ("", false, false),
            ("http://", false, false),
        ] {
            let origin = DoorOrigin::parse(text);
            assert_eq!((origin.is_encrypted(), origin.is_private()), (encrypted, private), "{text}");
        }
    }

    #[test]
    fn what_is_sent_past_the_configured_address_is_not_encrypted_by_it() {
        let external = Some("https://registry.example");
        for (scheme, host, is_private) in [
            ("http", Some("registry.example"), true),
            ("http", Some("REGISTRY.example:443"), true),
            ("http", None, true),
            ("http", Some("registry.example:5000"), false),
            ("http", Some("192.0.2.1:5000"), false),
            ("http", Some("localhost:5000"), true),
            ("https", Some("192.0.2.1:5000"), true),
        ] {
            let door = DoorOrigin::of(external, scheme, host);
            assert_eq!(door.is_private(), is_private, "{scheme} {host:?}");
            assert!(door.has(&Url::parse("https://registry.example/ui/").unwrap()));
        }
        let plain = DoorOrigin::of(Some("http://registry.example"), "http", Some("registry.example"));
        assert!(!plain.is_private());
        assert!(!DoorOrigin::of(None, "http", Some("registry.example")).is_private());
        assert!(DoorOrigin::of(None, "https", Some("registry.example")).is_private());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let door = DoorOrigin::parse("https://registry.example");
        for (url, expected) in [
            ("https://registry.example:443/ui/", true),
            ("https://REGISTRY.example", true),
            ("http://registry.example", false),
            ("https://registry.example:5000", false),
            ("https://evil.example", false),
        ] {
            assert_eq!(door.has(&Url::parse(url).unwrap()), expected, "{url}");
        }
        assert!(!DoorOrigin::parse("").has(&Url::parse("https://registry.example").unwrap()));
    }
}
