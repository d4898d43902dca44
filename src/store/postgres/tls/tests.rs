use super::*;

fn mode(url: &str, files: &TlsFiles) -> TlsMode {
    let (rest, mode) = take_mode(url).unwrap();
    let config = rest.parse().unwrap();
    mode.unwrap_or_else(|| TlsMode::default_of(&config, files))
}

#[test]
fn nothing_leaves_the_machine_without_encryption_unless_that_is_asked_for() {
    let none = TlsFiles::default();
    for (url, expected) in [
        ("postgres://u@db.example/d", TlsMode::VerifyFull),
        ("postgres://u@192.0.2.1/d", TlsMode::VerifyFull),
        ("postgres://u@localhost,db.example/d", TlsMode::VerifyFull),
        ("postgres://u@localhost/d?hostaddr=192.0.2.1", TlsMode::VerifyFull),
        ("postgres://u@localhost.example/d", TlsMode::VerifyFull),
        ("postgres://u@localhost/d", TlsMode::Disable),
        ("postgres://u@127.0.0.1,[::1]/d", TlsMode::Disable),
        ("postgres://u@/d?host=/run/postgresql", TlsMode::Disable),
        ("postgres://u@db.example/d?sslmode=disable", TlsMode::Disable),
        ("postgres://u@db.example/d?connect_timeout=3&sslmode=require", TlsMode::Require),
        ("postgres://u@db.example/d?sslmode=verify-ca&target_session_attrs=any", TlsMode::VerifyAuthority),
        ("postgres://u@localhost/d?sslmode=verify-full", TlsMode::VerifyFull),
    ] {
        assert_eq!(mode(url, &none), expected, "{url}");
    }
    let named = TlsFiles { authorities: Some("ca.pem".into()), identity: None };
    assert_eq!(mode("postgres://u@localhost/d", &named), TlsMode::VerifyFull);
}

#[test]
fn what_else_the_url_says_stays_in_it() {
    let (rest, mode) = take_mode("postgres://u@a,b/d?x=1&sslmode=require&y=2").unwrap();
    assert_eq!((rest.as_str(), mode), ("postgres://u@a,b/d?x=1&y=2", Some(TlsMode::Require)));
    let (rest, mode) = take_mode("postgres://u@a/d?sslmode=disable").unwrap();
    assert_eq!((rest.as_str(), mode), ("postgres://u@a/d", Some(TlsMode::Disable)));
}

#[test]
fn what_falls_back_unnoticed_is_refused_and_files_belong_into_the_configuration() {
    for mode in ["prefer", "allow", "", "VERIFY-FULL"] {
        let refused = take_mode(&format!("postgres://u@a/d?sslmode={mode}")).unwrap_err().to_string();
        assert!(refused.contains(&format!("sslmode={mode}; write verify-full")), "{refused}");
    }
    let refused = take_mode("postgres://u@a/d?sslrootcert=/x").unwrap_err().to_string();
    assert_eq!(refused, "`store.url` has sslrootcert; name that file in `store.tls.ca`");
}
