//! By which scheme and authority a client knows the door: what a browser keeps cookies by, and calls the origin of a page.

use url::{Host, Url};

/// By which scheme and authority a client knows the door; nothing where the client named none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorOrigin(Option<Url>);

impl DoorOrigin {
    /// Reads an origin such as `https://registry.example:5000`.
    pub fn parse(text: &str) -> Self {
        Self(Url::parse(text).ok())
    }

    /// Whether what is sent between client and door, or the outermost proxy, is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.as_ref().is_some_and(|url| url.scheme() == "https")
    }

    /// Whether client and door are on one machine, by the name that the client calls.
    pub fn is_loopback(&self) -> bool {
        match self.0.as_ref().and_then(Url::host) {
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
        self.0.as_ref().is_some_and(|own| own.origin() == url.origin())
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
