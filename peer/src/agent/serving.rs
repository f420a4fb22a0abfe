//! The server that the agent hosts: what was chosen is kept in the home directory and holds until it is taken back.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use symbolon::{Hosted, Origin, Peer, Serve};
use tokio::sync::Mutex;

use crate::failure::Failure;

/// The file of the choice, in the home directory.
const FILE: &str = "serve.json";

/// How often it is tried again to serve where another program listens.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What was chosen. The lock is held while it is carried out, so that two choices do not mix.
pub(super) struct Serving {
    file: PathBuf,
    chosen: Mutex<Option<Chosen>>,
}

/// What whoever starts the agent says about it.
#[derive(Debug)]
pub(crate) enum Choice {
    /// Nothing: what was chosen before holds.
    Kept,
    /// Serve this; the agent ends if that cannot be.
    Serve(Serve),
    /// Serve no longer.
    Stop,
}

struct Chosen {
    serve: Serve,
    /// Why it could not be carried out.
    trouble: Option<String>,
}

/// What a program may ask for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    listen: std::net::SocketAddr,
    #[serde(default)]
    servers: Vec<Origin>,
    page: Option<bool>,
}

impl From<Asked> for Serve {
    fn from(asked: Asked) -> Self {
        let Asked { listen, servers, page } = asked;
        Self { listen, servers, page: page.unwrap_or(true) }
    }
}

impl Serving {
    pub(super) fn new(home: &Path) -> Self {
        Self { file: home.join(FILE), chosen: Mutex::new(None) }
    }

    /// Begins as was chosen now or before.
    pub(super) async fn begin(&self, peer: &Peer, choice: Choice) -> Result<(), Failure> {
        match choice {
            Choice::Kept => self.resume(peer).await,
            Choice::Serve(serve) => drop(self.serve(peer, serve).await?),
            Choice::Stop => drop(self.stop(peer).await?),
        }
        Ok(())
    }

    /// Serves from now on, and after every start; nothing changes if that cannot be.
    pub(super) async fn serve(&self, peer: &Peer, mut serve: Serve) -> Result<Value, Failure> {
        let mut chosen = self.chosen.lock().await;
        let hosted = match peer.serve(&serve).await {
            Ok(hosted) => hosted,
            Err(error) => {
                if let Some(chosen) = &mut *chosen {
                    chosen.carry_out(peer).await;
                }
                return Err(error.into());
            }
        };
        // What the system chose is in tickets from now on.
        serve.listen.set_port(hosted.listen.port());
        let kept = keep(&self.file, &serve);
        *chosen = Some(Chosen { serve, trouble: None });
        kept.map_err(|error| Failure::path("home", &self.file, &error))?;
        Ok(described(&hosted))
    }

    /// Serves no longer, nor after the next start; says whether it did.
    pub(super) async fn stop(&self, peer: &Peer) -> Result<bool, Failure> {
        let mut chosen = self.chosen.lock().await;
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::path("home", &self.file, &error));
            }
            _ => {}
        }
        let was = chosen.take().is_some();
        peer.stop_serving().await?;
        Ok(was)
    }

    /// What is served, or was to be, in JSON; null if nothing.
    pub(super) async fn describe(&self, peer: &Peer) -> Result<Value, Failure> {
        let chosen = self.chosen.lock().await;
        Ok(match (peer.hosted().await?, &*chosen) {
            (Some(hosted), _) => described(&hosted),
            (None, Some(Chosen { serve, trouble })) => json!({
                "listen": serve.listen, "servers": serve.servers, "page": serve.page,
                "key": null, "audience": null, "trouble": trouble,
            }),
            (None, None) => Value::Null,
        })
    }

    /// Takes up what was chosen before; an agent that cannot serve does everything else.
    async fn resume(&self, peer: &Peer) {
        let serve = match std::fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice::<Serve>(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => Err(error),
        };
        match serve {
            Ok(serve) => {
                let mut resumed = Chosen { serve, trouble: None };
                let mut chosen = self.chosen.lock().await;
                resumed.carry_out(peer).await;
                *chosen = Some(resumed);
            }
            Err(error) => tracing::error!("{} is passed over: {error}", self.file.display()),
        }
    }

    /// Goes on trying to serve where that was not possible.
    pub(super) async fn keep_up(&self, peer: &Peer) {
        loop {
            tokio::time::sleep(TRY_AGAIN).await;
            if let Some(chosen) = &mut *self.chosen.lock().await
                && chosen.trouble.is_some()
            {
                chosen.carry_out(peer).await;
            }
        }
    }
}

impl Chosen {
    async fn carry_out(&mut self, peer: &Peer) {
        let trouble = peer.serve(&self.serve).await.err().map(|error| error.to_string());
        match &trouble {
            Some(trouble) if self.trouble.as_ref() != Some(trouble) => {
                tracing::error!("no server is hosted: {trouble}");
            }
            None => tracing::info!(listen = %self.serve.listen, "hosts a server"),
            Some(_) => {}
        }
        self.trouble = trouble;
    }
}

fn described(hosted: &Hosted) -> Value {
    json!({
        "listen": hosted.listen,
        "servers": hosted.servers,
        "page": hosted.page,
        "key": hosted.key,
        "audience": hosted.audience.code(),
        "trouble": null,
    })
}

/// Writes the choice; the file is there whole or not at all.
fn keep(file: &Path, serve: &Serve) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut new, serve)?;
    new.write_all(b"\n")?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}
