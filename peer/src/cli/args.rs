//! The arguments, with an example for every command.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand};
use symbolon::{DeviceId, Origin};

/// Heads the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Rooms for people and programs that talk directly.
///
/// A room opens only to those who hold a ticket. A server brings its members together and need not be trusted: from
/// then on they talk directly and sealed, and go on when the server is gone.
#[derive(Debug, Parser)]
#[command(name = "symbolon", version, subcommand_required = true)]
#[command(after_help = "\
Examples:
  symbolon create notes --server wss://rooms.example.org
      found a room
  symbolon invite notes
      make a ticket for one device; hand it over by a channel you trust
  symbolon join -
      on the other device: paste the ticket, then Enter and Ctrl-D
  symbolon edit notes
      write to the room's text in your editor

A room is named by its name, its id, or the beginning of either if that fits one room only.
A command ends with 0 when it is done, 1 when it failed, 2 when it was used wrongly.")]
pub(crate) struct Arguments {
    /// Directory of this device's key and rooms. [default: symbolon in `$XDG_DATA_HOME` or ~/.local/share]
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "SYMBOLON_HOME", value_name = "DIR", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// Print JSON, also for a failure: {"error":{"code","message"}}.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// What to log on stderr: error, warn, info, debug, trace, or a filter such as `symbolon=debug`.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "SYMBOLON_LOG", value_name = "FILTER", hide_env_values = true)]
    pub(crate) log: Option<String>,
    /// Certificates in PEM of authorities to believe besides the usual ones; for the agent when it starts.
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "SYMBOLON_CA_FILE", value_name = "FILE", hide_env_values = true)]
    pub(crate) ca_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show this device.
    #[command(after_help = "\
Examples:
  symbolon id
  symbolon invite notes --to \"$(ssh laptop symbolon id --json | jq -r .device)\"
      a ticket that only the laptop can use")]
    Id,
    /// Found a room.
    #[command(after_help = "\
Examples:
  symbolon create notes --server wss://rooms.example.org
  symbolon create notes --server wss://a.example.org --server wss://b.example.net
      with two servers, one of which may fail
  SYMBOLON_SERVER=ws://127.0.0.1:7600 symbolon create notes
  symbolon up --serve && symbolon create notes
      with a server that this device hosts")]
    Create {
        /// What to call the room; every member sees it.
        name: String,
        /// Where members find each other; up to 8, repeat the option or separate them by commas.
        /// [default: the server that this device hosts]
        #[arg(long = "server", env = "SYMBOLON_SERVER", value_name = "URL", value_delimiter = ',')]
        servers: Vec<Origin>,
    },
    /// Make a ticket with which others can join.
    #[command(after_help = "\
Examples:
  symbolon invite notes
      for one device, within 24 hours
  symbolon invite notes --qr
      with a code for a camera to read
  symbolon invite team --uses 5 --expires 7d
  symbolon invite notes --json | jq -r .link

A ticket is a secret: whoever has it first can use it. Hand it over by a channel you trust.")]
    Invite(Invite),
    /// Join a room with a ticket.
    #[command(after_help = "\
Examples:
  symbolon join -
      paste the ticket, then Enter and Ctrl-D; it then stands neither in the list of
      processes nor in the shell's history
  symbolon join symbolon1qgCBomZvcmln…
  symbolon join 'https://rooms.example.org/#symbolon1qgCB…' --timeout 2m
  wl-paste | symbolon join -")]
    Join {
        /// The ticket, or a link with one; `-` reads it from standard input.
        ticket: String,
        /// How long to wait for a member, such as 30s or 2m.
        #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
        timeout: Duration,
    },
    /// List the rooms.
    #[command(after_help = "\
Examples:
  symbolon rooms
  symbolon rooms --json | jq -r '.[].name'")]
    Rooms,
    /// List a room's members.
    #[command(after_help = "\
Examples:
  symbolon members notes
  symbolon members notes --json | jq -r '.[] | select(.online) | .name'")]
    Members {
        /// The room.
        room: String,
    },
    /// Show who is linked with whom, and what is missing.
    #[command(after_help = "\
Examples:
  symbolon topology notes
  symbolon topology notes --json | jq '.edges[] | select(.state != \"confirmed\")'

Every member signs the list of its links. A link that both ends report is confirmed.")]
    Topology {
        /// The room.
        room: String,
    },
    /// Wait until something is so in a room.
    #[command(after_help = "\
Examples:
  symbolon wait notes --members 2
      until someone else is there
  symbolon wait notes --text-contains done --timeout 1h && make")]
    Wait(Wait),
    /// Print a room's text.
    #[command(after_help = "\
Examples:
  symbolon cat notes
  symbolon cat notes > notes.txt
  symbolon cat notes --json | jq -r .text")]
    Cat {
        /// The room.
        room: String,
    },
    /// Change a room's text, in an editor or by options.
    #[command(after_help = "\
Examples:
  symbolon edit notes
      in your editor; what others write meanwhile is kept
  symbolon edit notes --insert 'one more line
  '
  date | symbolon edit notes --insert - --at start
  symbolon edit notes --delete 0..5
      the first five characters

Positions count UTF-16 units, as JavaScript and most editors' protocols do.")]
    Edit(Edit),
    /// Print a room's text, then every change as it comes.
    #[command(after_help = "\
Examples:
  symbolon follow notes
  symbolon follow notes --json | jq -c .changes
      the first line has the text, each further one changes: apply them one after the other")]
    Follow {
        /// The room.
        room: String,
    },
    /// List a room's documents.
    #[command(after_help = "\
Examples:
  symbolon documents notes
  symbolon documents notes --json | jq -r '.[] | select(.kind == \"canvas\") | .name'")]
    Documents {
        /// The room.
        room: String,
    },
    /// Print a room's drawing as an SVG picture, or draw a line into it.
    #[command(after_help = "\
Examples:
  symbolon draw notes > notes.svg
  symbolon draw notes --output notes.svg
  symbolon draw notes --line '10,10 200,40 120,90' --color '#cc2244' --width 5
      adds a line through these points, x to the right and y downwards
  symbolon draw notes --json | jq '.strokes | length'")]
    Draw(Draw),
    /// Forget a room and delete what is stored of it here.
    #[command(after_help = "\
Examples:
  symbolon leave notes
  symbolon leave notes --yes
      without asking")]
    Leave {
        /// The room.
        room: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
    /// Start the agent, which holds the connections; any other command does so by itself.
    #[command(after_help = "\
Examples:
  symbolon up
  symbolon up --user Ada --device-name laptop
      the names others see; they count for a home directory that has none yet
  symbolon up --foreground
      for a service manager: stays, and ends at SIGTERM
  symbolon up --serve
      and host a server at port 7600, where the rooms founded from now on meet
  symbolon up --serve 0.0.0.0:7600 --serve-as wss://rooms.example.org
      which others dial by this name, through a proxy that speaks TLS
  symbolon up --no-serve
      and host none any longer

A hosted server is the same as symbolon-server. It is hosted whenever the agent runs, until --no-serve, and its key is
kept, so that members know it again. Rooms that are there already keep the servers they have.")]
    Up(super::up::Up),
    /// Show the agent, the server it hosts and the servers of its rooms; starts no agent.
    #[command(after_help = "\
Examples:
  symbolon status
  symbolon status --json | jq -r '.serving.servers[]'")]
    Status,
    /// End the agent.
    #[command(after_help = "\
Examples:
  symbolon down
  symbolon down --home /tmp/second")]
    Down,
    /// Serve the page to a browser on this machine, from this program.
    #[command(after_help = "\
Examples:
  symbolon page --open
      in your browser; Ctrl-C ends it
  symbolon page --server wss://rooms.example.org
      suggest this server for new rooms
  symbolon page --listen 127.0.0.1:0 --json | jq -r .url
      at a port of the system's choice

The page is a device of its own, and the browser keeps its rooms by the page's address: at another port it starts
with none. Nothing of it comes from a server.")]
    Page(super::page::Page),
    /// Print completions for a shell.
    #[command(after_help = "\
Examples:
  symbolon completions bash > ~/.local/share/bash-completion/completions/symbolon
  symbolon completions zsh > ~/.zfunc/_symbolon
  symbolon completions fish > ~/.config/fish/completions/symbolon.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for every command.
    #[command(after_help = "\
Examples:
  symbolon man | man -l -
  symbolon man ~/.local/share/man/man1")]
    Man {
        /// Write all pages into this directory, made if it is missing.
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Invite {
    /// The room.
    pub(crate) room: String,
    /// How long the ticket lasts, such as 90s, 15m, 24h or 7d.
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub(crate) expires: Duration,
    /// How many devices may use it.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) uses: u32,
    /// The only device that may, as `symbolon id` shows it there.
    #[arg(long, value_name = "DEVICE", allow_hyphen_values = true)]
    pub(crate) to: Option<DeviceId>,
    /// Also print the link as a QR code.
    #[arg(long)]
    pub(crate) qr: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct Wait {
    /// The room.
    pub(crate) room: String,
    /// Until at least so many members are online, this device included.
    #[arg(long, value_name = "N", group = "what")]
    pub(crate) members: Option<u32>,
    /// Until the text contains this.
    #[arg(long, value_name = "TEXT", group = "what")]
    pub(crate) text_contains: Option<String>,
    /// How long to wait before giving up.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// The room.
    pub(crate) room: String,
    /// Insert this; `-` reads it from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) insert: Option<String>,
    /// Where to insert: start, end, or a position.
    #[arg(long, value_name = "POSITION", default_value = "end", requires = "insert", value_parser = place)]
    pub(crate) at: Place,
    /// Delete from one position up to, and without, another.
    #[arg(long, value_name = "FROM..TO", conflicts_with = "insert", value_parser = range)]
    pub(crate) delete: Option<Range<u32>>,
}

#[derive(Debug, Args)]
pub(crate) struct Draw {
    /// The room.
    pub(crate) room: String,
    /// Add a line through these points: x,y and spaces between them.
    #[arg(long, value_name = "POINTS", allow_hyphen_values = true, value_parser = line)]
    pub(crate) line: Option<Line>,
    /// The line's colour.
    #[arg(long, value_name = "#RRGGBB", default_value = "#3366cc", requires = "line", value_parser = color)]
    pub(crate) color: String,
    /// The line's width.
    #[arg(long, value_name = "WIDTH", default_value_t = 3.0, requires = "line")]
    pub(crate) width: f64,
    /// The canvas.
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) document: String,
    /// Write the picture into this file.
    #[arg(long, short, value_name = "FILE", conflicts_with = "line")]
    pub(crate) output: Option<PathBuf>,
}

/// The points of a line. Under a name, since an option of type `Vec` may be given several times.
pub(crate) type Line = Vec<(f64, f64)>;

/// A position in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    End,
    Unit(u32),
}

fn place(text: &str) -> Result<Place, String> {
    match text {
        "start" => Ok(Place::Unit(0)),
        "end" => Ok(Place::End),
        _ => text.parse().map(Place::Unit).map_err(|_| "a position is start, end or a number".into()),
    }
}

fn range(text: &str) -> Result<Range<u32>, String> {
    let (from, to) = text.split_once("..").ok_or("a range is two positions, such as 0..5")?;
    let unit = |text: &str| text.parse::<u32>().map_err(|_| "a range is two positions, such as 0..5");
    let range = unit(from)?..unit(to)?;
    if range.start > range.end {
        return Err("a range starts before it ends".into());
    }
    Ok(range)
}

fn line(text: &str) -> Result<Line, String> {
    let wrong = || "a line is points, such as '10,10 200,40'".to_owned();
    let point = |text: &str| {
        let (x, y) = text.split_once(',').ok_or_else(wrong)?;
        Ok((x.parse().map_err(|_| wrong())?, y.parse().map_err(|_| wrong())?))
    };
    let points: Line = text.split_whitespace().map(point).collect::<Result<_, String>>()?;
    let finite = points.iter().all(|(x, y): &(f64, f64)| x.is_finite() && y.is_finite());
    if points.is_empty() || !finite { Err(wrong()) } else { Ok(points) }
}

fn color(text: &str) -> Result<String, String> {
    let known = symbolon::canvas::color_from_text(text).is_some();
    known.then(|| text.to_owned()).ok_or_else(|| "a colour is written #rrggbb, such as #cc2244".into())
}

fn duration(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|_| "a time is a number with a unit, such as 90s, 15m, 24h or 7d")?;
    // About three centuries; far from where the arithmetic ends.
    if time > Duration::from_secs(10_000_000_000) {
        return Err("that is longer than anyone waits".into());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn arguments_are_sound_and_every_command_has_an_example() {
        let mut command = Arguments::command();
        command.build();
        command.clone().debug_assert();
        for sub in
            std::iter::once(&command).chain(command.get_subcommands().filter(|sub| sub.get_name() != "help"))
        {
            let examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.contains("Examples:\n  "), "{} has no example", sub.get_name());
        }
    }

    #[test]
    fn times_and_places_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "24", "h", "-1s", "1fortnight", "99999999999999d", "9999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(line(" 10,-10.5\n 2,3"), Ok(vec![(10.0, -10.5), (2.0, 3.0)]));
        for wrong in ["", "1", "1,2,3", "1, 2", "a,b", "inf,0", "0,NaN"] {
            assert!(line(wrong).is_err(), "{wrong}");
        }
        assert!(color("#CC2244").is_ok() && color("red").is_err());
        assert_eq!(place("start"), Ok(Place::Unit(0)));
        assert!(place("-1").is_err());
        assert_eq!(range("0..5"), Ok(0..5));
        for wrong in ["5..0", "..", "1", "a..b", "0..5000000000"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
