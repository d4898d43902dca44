//! A user of the system on which the door runs: who gives it commands, by the socket or in a process of their own.

use std::fmt;

/// Where names of users are.
const PASSWD: &str = "/etc/passwd";

/// A user of the system. Shown as `uid 0 (root)`, which no user of the door can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalUser {
    uid: u32,
    name: Option<String>,
}

impl LocalUser {
    /// With the name that the system's file of users has for them, if it has one. Blocks while that is read.
    pub fn of_uid(uid: u32) -> Self {
        let users = std::fs::read_to_string(PASSWD).unwrap_or_default();
        Self { uid, name: name_in(&users, uid) }
    }

    /// Who runs this process. Blocks for a moment.
    pub fn current() -> Self {
        Self::of_uid(rustix::process::getuid().as_raw())
    }
}

impl fmt::Display for LocalUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "uid {} ({name})", self.uid),
            None => write!(formatter, "uid {}", self.uid),
        }
    }
}

/// The name of a user in a file like passwd(5): `name:password:uid:…`.
fn name_in(users: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_shown_by_number_and_by_name_if_the_system_knows_one() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nci:x:1000:0::/:/bin/sh\n";
        let shown = |uid| LocalUser { uid, name: name_in(users, uid) }.to_string();
        assert_eq!(shown(0), "uid 0 (root)");
        assert_eq!(shown(1000), "uid 1000 (ci)");
        assert_eq!(shown(7), "uid 7");
    }
}
