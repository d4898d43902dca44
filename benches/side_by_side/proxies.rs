//! The ways to the upstream: none, nginx, haproxy and portreeve, each with one worker thread.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::Fault;
use crate::http::{Body, Client};
use crate::process::{Server, free_address, tool};
use crate::registry::{nginx_command, nginx_preamble, nginx_temporary_paths};
use crate::resources::ProcessTree;

/// How long the first sweep may take.
const FIRST_SWEEP: Duration = Duration::from_mins(5);

/// A way to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// No proxy.
    Direct,
    /// nginx that does not buffer requests.
    Nginx,
    /// haproxy.
    Haproxy,
    /// The door, recording durably.
    Portreeve,
}

impl Way {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Direct, Self::Nginx, Self::Haproxy, Self::Portreeve];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Portreeve => "portreeve",
        }
    }
}

/// A way that is open.
pub struct Proxy {
    /// Which.
    pub way: Way,
    address: SocketAddr,
    server: Option<Server>,
}

impl Proxy {
    /// Opens this way to this upstream; working files go into a new directory of this name.
    pub fn start(
        way: Way,
        upstream: SocketAddr,
        directory: &Path,
        name: &str,
        access_log: bool,
    ) -> Result<Self, Fault> {
        if way == Way::Direct {
            return Ok(Self { way, address: upstream, server: None });
        }
        let directory = directory.join(format!("{name}-{}", way.name()));
        fs::create_dir(&directory)?;
        let address = free_address()?;
        let command = match way {
            Way::Nginx => nginx(address, upstream, &directory)?,
            Way::Haproxy => haproxy(address, upstream, &directory)?,
            Way::Direct | Way::Portreeve => portreeve(address, upstream, &directory, access_log),
        };
        let server = Server::start(way.name(), command, address, &directory)?;
        Ok(Self { way, address, server: Some(server) })
    }

    /// Waits until the record of this way is complete, if it keeps one.
    #[expect(
        clippy::disallowed_methods,
        reason = "no runtime runs here, and the door tells nobody when it is"
    )]
    pub fn wait_for_record(&self) -> Result<(), Fault> {
        if self.way != Way::Portreeve {
            return Ok(());
        }
        let begun = Instant::now();
        while begun.elapsed() < FIRST_SWEEP {
            crate::interruption::check()?;
            let status =
                Client::connect(self.address)?.expect(200, "GET", "/api/v1/status", "", Body::Empty)?;
            let status: serde_json::Value = serde_json::from_slice(&status.body)?;
            if status["sweep"]["last"]["outcome"] == "complete" {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("the first sweep was not complete in time".into())
    }

    /// Where clients connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its processes; none for the direct way.
    pub fn processes(&self) -> Option<ProcessTree> {
        self.server.as_ref().map(Server::processes)
    }
}

fn nginx(address: SocketAddr, upstream: SocketAddr, directory: &Path) -> Result<Command, Fault> {
    let configuration = directory.join("nginx.conf");
    fs::write(
        &configuration,
        format!(
            "{preamble}\
             http {{\n  \
               {temporary}\
               access_log off;\n  \
               keepalive_requests 100000000;\n  \
               upstream registry {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}\n  \
               server {{\n    \
                 listen {address};\n    \
                 client_max_body_size 0;\n    \
                 location / {{\n      \
                   proxy_pass http://registry;\n      \
                   proxy_http_version 1.1;\n      \
                   proxy_set_header Connection '';\n      \
                   proxy_set_header Host $http_host;\n      \
                   proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n      \
                   proxy_set_header X-Forwarded-Proto $scheme;\n      \
                   proxy_request_buffering off;\n      \
                   proxy_max_temp_file_size 0;\n      \
                   proxy_read_timeout 900;\n    \
                 }}\n  \
               }}\n\
             }}\n",
            preamble = nginx_preamble(),
            temporary = nginx_temporary_paths(),
        ),
    )?;
    nginx_command(directory, &configuration)
}

fn haproxy(address: SocketAddr, upstream: SocketAddr, directory: &Path) -> Result<Command, Fault> {
    let configuration = directory.join("haproxy.cfg");
    fs::write(
        &configuration,
        format!(
            "global\n  nbthread 1\n  maxconn 1024\n\
             defaults\n  mode http\n  option forwardfor\n  timeout connect 5s\n  timeout client 900s\n  \
             timeout server 900s\n\
             frontend door\n  bind {address}\n  default_backend registry\n\
             backend registry\n  http-reuse always\n  server registry {upstream}\n",
        ),
    )?;
    let mut command = Command::new(tool("haproxy", "haproxy")?);
    command.arg("-db").arg("-f").arg(&configuration);
    Ok(command)
}

fn portreeve(address: SocketAddr, upstream: SocketAddr, directory: &Path, access_log: bool) -> Command {
    let mut command = Command::new(PathBuf::from(env!("CARGO_BIN_EXE_portreeve")));
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("PORTREEVE_") {
            command.env_remove(key);
        }
    }
    command
        .arg("serve")
        .env("PORTREEVE__LISTEN__DOOR", address.to_string())
        .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
        .env("PORTREEVE__REGISTRY__URL", format!("http://{upstream}"))
        .env("PORTREEVE__STORE__URL", format!("redb:{}", directory.join("store.redb").display()))
        .env("PORTREEVE__SERVER__THREADS", "1");
    if !access_log {
        command.env("PORTREEVE__PLUGINS__ACCESS_LOG__ENABLED", "false");
    }
    command
}
