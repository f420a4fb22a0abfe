//! Two peers in one process: one founds a room, the other joins it with a ticket and reads what it says.
//!
//! ```text
//! symbolon-server &
//! cargo run --example hello -- ws://127.0.0.1:7600
//! ```

use std::error::Error;
use std::time::Duration;

use symbolon::{InviteRequest, Origin, Peer};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server: Origin =
        std::env::args().nth(1).ok_or("name a server, such as ws://127.0.0.1:7600")?.parse()?;
    let homes = tempfile::tempdir()?;
    let first = Peer::open(homes.path().join("first")).await?;
    let second = Peer::open(homes.path().join("second")).await?;

    let room = first.create("greetings", &[server]).await?;
    first.insert(room, "main", None, "hello from the first").await?;

    // The ticket is what a person would hand to another one.
    let ticket = first.invite(room, InviteRequest::default()).await?;
    second.join(&ticket, Duration::from_secs(30)).await?;
    println!("the second reads: {}", second.text(room, "main").await?);

    first.close().await;
    second.close().await;
    Ok(())
}
