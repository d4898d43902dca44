//! What pages tell administrators of users, tokens and logins: some of each.

use std::time::Duration;

use reqwest::StatusCode;

use super::access::{Session, docker_login};
use crate::support::door::Door;
use crate::support::guard::password;
use crate::support::wait::until_seen;

/// Longer than it takes until what happened is written down.
const LIMIT: Duration = Duration::from_secs(60);
/// More names than may be guessed from one network before it has to wait.
const GUESSES: usize = 32;

/// Users of the store, one of them disabled, tokens of users and robots, logins, and guesses.
pub(super) async fn fill(door: &Door) {
    let mut admin = Session::begin(door, "admin", &password("admin")).await;
    // Who was right here before waits for nobody's guesses.
    let mut ben = Session::begin(door, "ben", &password("ben")).await;
    let mut send = async |page: &str, fields: &[(&str, &str)]| {
        let (status, _, html) = admin.send(page, fields).await;
        assert!(status == StatusCode::OK || status == StatusCode::SEE_OTHER, "{page}: {html}");
    };
    for (name, groups) in [("erin", "developers"), ("frank", "")] {
        let fields = [("name", name), ("password", "a-password-of-their-own"), ("groups", groups)];
        send("/ui/access/users/add", &fields).await;
    }
    send("/ui/access/user/disable", &[("name", "frank"), ("disabled", "true")]).await;
    let token = [("repositories", "web/** api/**"), ("pull", "on"), ("expires_in", "90d")];
    send("/ui/access/token", &[&[("name", "laptop")][..], &token].concat()).await;
    for (robot, repositories) in [("build", "**"), ("deploy", "web/** api/** charts/**")] {
        let fields = [
            ("name", robot),
            ("repositories", repositories),
            ("pull", "on"),
            ("push", "on"),
            ("expires_in", "7d"),
        ];
        send("/ui/access/robots/token", &fields).await;
    }
    let (status, _, html) =
        ben.send("/ui/access/token", &[&[("name", "workstation")][..], &token].concat()).await;
    assert_eq!(status, StatusCode::OK, "{html}");
    Session::begin(door, "erin", "a-password-of-their-own").await;
    assert_eq!(docker_login(door, "dora", "wrong").await, StatusCode::UNAUTHORIZED);
    for number in 0..GUESSES {
        docker_login(door, &format!("guessed{number}"), "wrong").await;
    }
    for (what, page, words) in [
        ("the guesses are written down", "/ui/access/failures", ">dora<"),
        ("their network is shown", "/ui/access/lockouts", "<code>127.0.0.1</code>"),
    ] {
        until_seen(what, LIMIT, async || admin.read(page).await.1, |html: &String| html.contains(words))
            .await;
    }
}
