//! Connections that are encrypted, to real servers: whom the door believes, and what it tells the operator.

use std::path::PathBuf;
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use secrecy::SecretString;
use tempfile::TempDir;

use super::super::{PostgresAddress, PostgresStore, TlsFiles};
use super::postgres::{Database, Extras, PASSWORD, Server, USER};
use crate::store::{Records as _, Store as _};

/// An authority, and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    /// Certificate and key for a name, which is what a server is called and what a client is.
    fn sign(&self, name: &str) -> (String, String) {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A server with TLS, whose certificate is for `localhost`.
struct Encrypted {
    authority: Authority,
    server: Server,
}

impl Encrypted {
    /// The one of all tests. Over TCP only connections with TLS are let in; the user `certified` without a password, by a
    /// certificate.
    fn get() -> &'static Self {
        static ENCRYPTED: OnceLock<Encrypted> = OnceLock::new();
        ENCRYPTED.get_or_init(|| {
            let authority = Authority::new();
            let (certificate, key) = authority.sign("localhost");
            let server = Server::listening(Extras {
                settings: "ssl = on
                    ssl_ca_file = '../ca.pem'
                    ssl_cert_file = '../server.pem'
                    ssl_key_file = '../server.key'",
                access: "hostssl all certified all cert\nhostssl all all all scram-sha-256\n",
                files: &[("ca.pem", &authority.pem), ("server.pem", &certificate), ("server.key", &key)],
                ..Extras::default()
            });
            Self { authority, server }
        })
    }

    /// An address of a new database of it.
    fn url(&self, database: &Database, user: &str, host: &str, parameters: &str) -> String {
        format!("postgres://{user}@{host}:{}/{}?{parameters}", self.server.port(), database.name())
    }
}

/// Files for a door.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn authorities(&self, authority: &Authority) -> TlsFiles {
        TlsFiles { authorities: Some(self.put("ca.pem", &authority.pem)), identity: None }
    }

    fn with_identity(&self, authorities: &Authority, (certificate, key): &(String, String)) -> TlsFiles {
        let identity = (self.put("client.pem", certificate), self.put("client.key", key));
        TlsFiles { identity: Some(identity), ..self.authorities(authorities) }
    }
}

fn open(url: &str, password: Option<&str>, files: TlsFiles) -> Result<PostgresStore, String> {
    let password = password.map(SecretString::from);
    let address = PostgresAddress::parse(url, password.as_ref(), files).map_err(|error| error.to_string())?;
    PostgresStore::open(&address).map_err(|error| format!("{error} {error:?}"))
}

fn refused(url: &str, password: Option<&str>, files: TlsFiles) -> String {
    match open(url, password, files) {
        Ok(_) => panic!("{url} was let in"),
        Err(told) => told,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_encrypted_to_a_database_that_an_authority_has_certified() {
    let (encrypted, files) = (Encrypted::get(), Files::new());
    let database = encrypted.server.database();
    // The password is bound to the very connection that is encrypted.
    let url = encrypted.url(&database, USER, "localhost", "channel_binding=require");
    let store = open(&url, Some(PASSWORD), files.authorities(&encrypted.authority)).unwrap();
    store.statistics().await.unwrap();
    let connections = database.run(
        "SELECT count(*), bool_and(s.ssl) FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)
         WHERE a.datname = current_database() AND a.application_name = 'portreeve'",
    );
    assert_eq!(connections, "2|t\n", "the writer's and a reader's");
    store.close();
}

#[test]
fn a_database_of_another_authority_or_name_is_refused_and_the_operator_told_what_to_do() {
    let (encrypted, files) = (Encrypted::get(), Files::new());
    let database = encrypted.server.database();
    let url = |host, mode: &str| encrypted.url(&database, USER, host, &format!("sslmode={mode}"));
    let known = || files.authorities(&encrypted.authority);
    let other_files = Files::new();
    let other = || other_files.authorities(&Authority::new());
    for (url, files, expected) in [
        (url("localhost", "verify-full"), other(), "in `store.tls.ca`"),
        (url("localhost", "verify-ca"), other(), "in `store.tls.ca`"),
        (url("localhost", "require"), other(), "in `store.tls.ca`"),
        (url("localhost", "verify-full"), TlsFiles::default(), "in `store.tls.ca`"),
        (url("127.0.0.1", "verify-full"), known(), "or write sslmode=verify-ca"),
    ] {
        let told = refused(&url, Some(PASSWORD), files);
        assert!(told.contains(expected) && !told.contains(PASSWORD), "{url}: {told}");
    }
    for (url, files) in [
        (url("127.0.0.1", "verify-ca"), known()),
        (url("127.0.0.1", "require"), known()),
        (url("127.0.0.1", "require"), TlsFiles::default()),
    ] {
        drop(open(&url, Some(PASSWORD), files).unwrap_or_else(|told| panic!("{url}: {told}")));
    }
    let told = refused(&url("127.0.0.1", "disable"), Some(PASSWORD), TlsFiles::default());
    assert!(told.contains("no encryption"), "{told}");
}

#[test]
fn a_database_knows_the_door_by_its_certificate() {
    let (encrypted, files) = (Encrypted::get(), Files::new());
    let database = encrypted.server.database();
    database.run(&format!(
        "DO $$ BEGIN CREATE ROLE certified LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;
         ALTER DATABASE {} OWNER TO certified",
        database.name()
    ));
    let url = encrypted.url(&database, "certified", "localhost", "sslmode=verify-full");
    let identity = encrypted.authority.sign("certified");
    let store = open(&url, None, files.with_identity(&encrypted.authority, &identity)).unwrap();
    let known = database.run(
        "SELECT DISTINCT client_dn FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)
         WHERE a.datname = current_database() AND a.application_name = 'portreeve'",
    );
    assert!(known.contains("/CN=certified"), "{known}");
    drop(store);

    let told = refused(&url, None, files.authorities(&encrypted.authority));
    assert!(told.contains("requires a valid client certificate"), "{told}");
    let somebody_else = encrypted.authority.sign("somebody-else");
    let told = refused(&url, None, files.with_identity(&encrypted.authority, &somebody_else));
    assert!(told.contains("certificate authentication failed"), "{told}");
    let foreign = Authority::new().sign("certified");
    let told = refused(&url, None, files.with_identity(&encrypted.authority, &foreign));
    assert!(told.contains("than that in `store.tls.cert`"), "{told}");
    let mixed = (identity.0, foreign.1);
    let told = refused(&url, None, files.with_identity(&encrypted.authority, &mixed));
    assert!(told.contains("`store.tls.cert` and `store.tls.key` cannot be used together"), "{told}");
}

#[test]
fn a_file_that_cannot_be_used_is_told_by_its_key_and_path() {
    let (encrypted, files) = (Encrypted::get(), Files::new());
    let database = encrypted.server.database();
    let url = encrypted.url(&database, USER, "localhost", "sslmode=verify-full");
    let absent = files.0.path().join("absent.pem");
    let told = refused(&url, Some(PASSWORD), TlsFiles { authorities: Some(absent), identity: None });
    assert!(told.contains("`store.tls.ca` ") && told.contains("absent.pem cannot be used"), "{told}");
    let empty = files.put("empty.pem", "nothing\n");
    let told = refused(&url, Some(PASSWORD), TlsFiles { authorities: Some(empty), identity: None });
    assert!(told.contains("empty.pem has no certificate in it"), "{told}");
}

#[test]
fn a_database_without_tls_is_refused_unless_that_is_asked_for() {
    let server =
        Server::listening(Extras { access: "host all all all scram-sha-256\n", ..Extras::default() });
    let database = server.database();
    let url = |parameters: &str| {
        format!("postgres://{USER}@localhost:{}/{}?{parameters}", server.port(), database.name())
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        let told = refused(&url(&format!("sslmode={mode}")), Some(PASSWORD), TlsFiles::default());
        assert!(told.contains("turn on `ssl` at the database, or write sslmode=disable"), "{told}");
    }
    drop(open(&url("sslmode=disable"), Some(PASSWORD), TlsFiles::default()).unwrap());
    drop(open(&url("connect_timeout=5"), Some(PASSWORD), TlsFiles::default()).unwrap());
}
