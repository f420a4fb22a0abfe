//! Commands on who is in a room, and who is linked with whom.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::Context;
use super::print::{printable, short, table, time};
use crate::failure::Failure;

/// The columns of a terminal that nobody made wider.
const COLUMNS: usize = 80;
/// With more members than this the drawing has no room for names.
const DRAWN: usize = 18;

/// `symbolon members`
pub(super) fn members(context: &Context, room: &str) -> Result<(), Failure> {
    let members = context.agent()?.call("members", &json!({ "room": room }))?;
    context.out.either(&members, || {
        let names = names(&members);
        let mut rows = vec![["NAME", "USER", "REACHED", "INVITED BY", "DEVICE"].map(String::from)];
        rows.extend(list(&members).map(|member| {
            let inviter = &member["invited_by"];
            [
                word(&member["name"]).to_owned(),
                word(&member["user"]).to_owned(),
                reached(member, &names),
                if inviter.is_null() { "(founder)".into() } else { name(&names, inviter) },
                short(&member["device"]),
            ]
        }));
        table(&rows)
    })
}

/// By which way a member is reached, in words.
fn reached(member: &Value, names: &BTreeMap<&str, &str>) -> String {
    match word(&member["reach"]) {
        "own" => "this device".into(),
        "through" => {
            let through: Vec<String> = list(&member["through"]).map(|device| name(names, device)).collect();
            match &through[..] {
                [] => "through another".into(),
                [one] => format!("through {one}"),
                [first, more @ ..] => format!("through {first} or {} more", more.len()),
            }
        }
        "away" => match member["last_seen"].as_u64() {
            Some(seen) => format!("away since {}", time(seen)),
            None => "away".into(),
        },
        other => other.to_owned(),
    }
}

/// `symbolon topology`
pub(super) fn topology(context: &Context, room: &str) -> Result<(), Failure> {
    let mut agent = context.agent()?;
    let topology = agent.call("topology", &json!({ "room": room }))?;
    if context.out.json {
        return super::print::line(&topology);
    }
    let members = agent.call("members", &json!({ "room": room }))?;
    context.out.either(&topology, || Mesh::new(&topology, &members).words())
}

/// What is between two members who are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Confirmed,
    /// Only this one of the two says that there is a link.
    Claimed(usize),
    Gap,
    /// Nothing, and nothing is missing.
    Nothing,
}

/// Who is here, by name, and what is between them, in both directions.
struct Mesh {
    names: Vec<String>,
    between: Vec<Vec<Between>>,
}

impl Mesh {
    fn new(topology: &Value, members: &Value) -> Self {
        let names = names(members);
        let mut present: Vec<(String, &str)> =
            list(&topology["present"]).map(|device| (name(&names, device), word(device))).collect();
        present.sort();
        let mut between = vec![vec![Between::Nothing; present.len()]; present.len()];
        let place = |device: &Value| present.iter().position(|(_, of)| *of == word(device));
        for edge in list(&topology["edges"]) {
            let (Some(a), Some(b)) = (place(&edge["a"]), place(&edge["b"])) else { continue };
            let state = match word(&edge["state"]) {
                "confirmed" => Between::Confirmed,
                "claimed" => Between::Claimed(if edge["by"] == edge["a"] { a } else { b }),
                _ => Between::Gap,
            };
            between[a][b] = state;
            between[b][a] = state;
        }
        Self { names: present.into_iter().map(|(name, _)| name).collect(), between }
    }

    fn words(&self) -> String {
        if self.names.len() < 2 {
            return "Nobody else is here.".into();
        }
        let mut lines = Vec::new();
        if self.names.len() <= DRAWN {
            lines.extend(self.drawing());
            lines.push(String::new());
            lines.push("● both report the link   ◐ one of the two does   · neither does".into());
        }
        let pairs: Vec<(usize, usize, Between)> = (0..self.names.len())
            .flat_map(|a| (a + 1..self.names.len()).map(move |b| (a, b)))
            .map(|(a, b)| (a, b, self.between[a][b]))
            .filter(|(_, _, between)| *between != Between::Nothing)
            .collect();
        let sure = pairs.iter().filter(|(_, _, between)| *between == Between::Confirmed).count();
        lines.push(format!("Confirmed by both ends: {sure} of {}.", pairs.len()));
        let claims: Vec<String> = pairs
            .iter()
            .filter_map(|&(a, b, between)| match between {
                Between::Claimed(by) => {
                    let other = if by == a { b } else { a };
                    let (by, other) = (self.called(by), self.called(other));
                    Some(format!("  {by} reports a link with {other}; {other} does not report one with {by}"))
                }
                _ => None,
            })
            .collect();
        let gaps: Vec<String> = pairs
            .iter()
            .filter(|(_, _, between)| *between == Between::Gap)
            .map(|&(a, b, _)| format!("  {} and {}: neither reports a link", self.called(a), self.called(b)))
            .collect();
        for (heading, of) in [("One-sided:", claims), ("Gaps:", gaps)] {
            if !of.is_empty() {
                lines.push(String::new());
                lines.push(heading.into());
                lines.extend(of);
            }
        }
        lines.join("\n")
    }

    /// A row for each member and a column for each, numbered alike.
    fn drawing(&self) -> Vec<String> {
        let digits = self.names.len().to_string().len();
        let cells = self.names.len() * (digits + 1);
        let widest = self.names.iter().map(|name| name.width()).max().unwrap_or(0);
        let room = widest.min(COLUMNS - cells - digits - 1);
        let row = |mut line: String, cells: &mut dyn Iterator<Item = String>| {
            for cell in cells {
                line.extend(std::iter::repeat_n(' ', 1 + digits - cell.width()));
                line.push_str(&cell);
            }
            line.trim_end().to_owned()
        };
        let heading = " ".repeat(digits + 1 + room);
        let numbers = &mut (1..=self.names.len()).map(|number| number.to_string());
        let mut lines = vec![row(heading, numbers)];
        for (a, (name, between)) in self.names.iter().zip(&self.between).enumerate() {
            let cut = cut(name, room);
            let head = format!("{:>digits$} {cut}{}", a + 1, " ".repeat(room - cut.width()));
            let signs = &mut between.iter().map(|between| {
                let sign = match between {
                    Between::Confirmed => "●",
                    Between::Claimed(_) => "◐",
                    Between::Gap => "·",
                    Between::Nothing => " ",
                };
                sign.to_owned()
            });
            lines.push(row(head, signs));
        }
        lines
    }

    /// The member's name, and its number if another has the same.
    fn called(&self, at: usize) -> String {
        let name = &self.names[at];
        let same = self.names.iter().filter(|other| *other == name).count();
        if same > 1 { format!("{name} ({})", at + 1) } else { name.clone() }
    }
}

/// As much of a name as fits into so many columns.
fn cut(name: &str, columns: usize) -> String {
    if name.width() <= columns {
        return name.to_owned();
    }
    let mut cut = String::new();
    for c in name.chars() {
        if cut.width() + c.width().unwrap_or(0) + 1 > columns {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// The members' names, by device.
fn names(members: &Value) -> BTreeMap<&str, &str> {
    list(members).map(|member| (word(&member["device"]), word(&member["name"]))).collect()
}

fn name(names: &BTreeMap<&str, &str>, device: &Value) -> String {
    names.get(word(device)).map_or_else(|| short(device), |name| printable(name).replace(['\n', '\t'], " "))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members of these names whose ids are their numbers, all confirmed but for these pairs.
    fn mesh(names: &[&str], others: &[(usize, usize, &str)]) -> Mesh {
        let id = |n: usize| format!("{n:043}");
        let members: Value =
            names.iter().enumerate().map(|(n, name)| json!({ "device": id(n), "name": name })).collect();
        let mut edges = Vec::new();
        for a in 0..names.len() {
            for b in a + 1..names.len() {
                let other =
                    others.iter().find(|(of, with, _)| (*of, *with) == (a, b) || (*of, *with) == (b, a));
                let (state, by) = match other {
                    Some((by, _, "claimed")) => ("claimed", json!(id(*by))),
                    Some((_, _, state)) => (*state, Value::Null),
                    None => ("confirmed", Value::Null),
                };
                edges.push(json!({ "a": id(a), "b": id(b), "state": state, "by": by }));
            }
        }
        let present: Vec<String> = (0..names.len()).map(id).collect();
        Mesh::new(&json!({ "present": present, "edges": edges }), &members)
    }

    #[test]
    fn me5_a_topology_is_drawn_and_said() {
        let mesh = mesh(&["desk", "phone", "laptop"], &[(1, 0, "claimed"), (1, 2, "gap")]);
        assert_eq!(
            mesh.words(),
            "         1 2 3
1 desk     ● ◐
2 laptop ●   ·
3 phone  ◐ ·

● both report the link   ◐ one of the two does   · neither does
Confirmed by both ends: 1 of 3.

One-sided:
  phone reports a link with desk; desk does not report one with phone

Gaps:
  laptop and phone: neither reports a link"
        );
        assert_eq!(
            super::Mesh::new(&json!({ "present": ["x"], "edges": [] }), &json!([])).words(),
            "Nobody else is here."
        );
    }

    #[test]
    fn me5_sixteen_members_fit_a_terminal_whatever_their_names() {
        let long = "a device whose name has the length that people do not write by hand but programs do";
        let wide = "日本語の名前の長い機械日本語の名前の長い機械";
        let names: Vec<&str> = (0..16).map(|n| if n % 2 == 0 { long } else { wide }).collect();
        let mesh = mesh(&names, &[(3, 4, "gap"), (2, 6, "claimed")]);
        let words = mesh.words();
        let drawing: Vec<&str> = words.lines().take(18).collect();
        assert!(drawing.iter().all(|line| line.width() <= COLUMNS), "{words}");
        assert_eq!(drawing[0].split_whitespace().count(), 16);
        assert_eq!(words.matches('●').count(), 16 * 15 - 4 + 1, "{words}");
        assert_eq!((words.matches('◐').count(), words.matches('·').count()), (2 + 1, 2 + 1), "{words}");
        assert!(words.contains("Confirmed by both ends: 118 of 120."), "{words}");
        assert!(words.contains(&format!("{long} (")), "names that several have are numbered");
    }

    #[test]
    fn me5_a_crowd_is_said_in_words_alone() {
        let names: Vec<String> = (0..40).map(|n| format!("device {n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let words = mesh(&names, &[(3, 4, "gap")]).words();
        assert_eq!(
            words,
            "Confirmed by both ends: 779 of 780.\n\nGaps:\n  device 3 and device 4: neither reports a link"
        );
    }

    #[test]
    fn how_a_member_is_reached_is_said_in_words() {
        let names = BTreeMap::from([("d1", "desk"), ("d2", "phone")]);
        let words = |member: Value| reached(&member, &names);
        assert_eq!(words(json!({ "reach": "own" })), "this device");
        assert_eq!(words(json!({ "reach": "direct", "through": [] })), "direct");
        assert_eq!(words(json!({ "reach": "connecting" })), "connecting");
        assert_eq!(words(json!({ "reach": "through", "through": ["d1"] })), "through desk");
        assert_eq!(words(json!({ "reach": "through", "through": ["d2", "d1"] })), "through phone or 1 more");
        assert_eq!(words(json!({ "reach": "away", "last_seen": null })), "away");
        assert_eq!(
            words(json!({ "reach": "away", "last_seen": 1_800_000_000_000_u64 })),
            "away since 2027-01-15 08:00:00 UTC"
        );
    }
}
