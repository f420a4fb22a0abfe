//! The TOML file: every key known, every value with its line.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::table::SECTIONS;
use super::{Opt, Section};

/// A larger file is no configuration.
const MOST_BYTES: u64 = 1024 * 1024;

/// What the file says: line and texts by section and key.
#[derive(Debug, Default)]
pub struct Values(BTreeMap<(&'static str, &'static str), (usize, Vec<String>)>);

impl Values {
    /// What is said of this option.
    pub fn take(&mut self, section: &Section, option: &Opt) -> Option<(usize, Vec<String>)> {
        self.0.remove(&(section.name, option.key))
    }
}

/// Reads the file; what is wrong with it is added to `wrong`.
pub fn read(path: &Path, wrong: &mut Vec<String>) -> Values {
    let length = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let text = if length > MOST_BYTES {
        Err("it is far too large for a configuration".to_owned())
    } else {
        std::fs::read_to_string(path).map_err(|error| error.to_string())
    };
    match text {
        Ok(text) => parse(&text, &path.display().to_string(), wrong),
        Err(error) => {
            wrong.push(format!("cannot read the configuration {}: {error}", path.display()));
            Values::default()
        }
    }
}

/// Understands the text of a file of this name.
pub fn parse(text: &str, name: &str, wrong: &mut Vec<String>) -> Values {
    let mut values = Values::default();
    let line = |span: Range<usize>| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let at = error.span().map_or(1, line);
            wrong.push(format!("{name}:{at}: {}", error.message().replace('\n', ", ")));
            return values;
        }
    };
    for (key, value) in table.get_ref() {
        let at = line(key.span());
        let name_of_key = key.get_ref().as_ref();
        let section = SECTIONS.iter().find(|section| section.name == name_of_key);
        match (section, value.get_ref()) {
            (Some(section), DeValue::Table(inner)) => {
                for (key, value) in inner {
                    let at = line(key.span());
                    keep(&mut values, section, key.get_ref(), value.get_ref(), at)
                        .unwrap_or_else(|reason| wrong.push(format!("{name}:{at}: {reason}")));
                }
            }
            (Some(section), _) => {
                wrong.push(format!("{name}:{at}: {} is a section; write [{0}]", section.name));
            }
            (None, DeValue::Table(_)) => wrong.push(format!("{name}:{at}: {}", no_section(name_of_key))),
            (None, value) => keep(&mut values, SECTIONS[0], name_of_key, value, at)
                .unwrap_or_else(|reason| wrong.push(format!("{name}:{at}: {reason}"))),
        }
    }
    values
}

fn keep(
    values: &mut Values,
    section: &'static Section,
    key: &str,
    value: &DeValue<'_>,
    line: usize,
) -> Result<(), String> {
    let option = section.options.iter().find(|option| option.key == key);
    let option = option.ok_or_else(|| no_option(section, key))?;
    let texts = texts(value).ok_or_else(|| {
        format!("{} is {}, and this is a {}", section.path(option), option.form.words(), value.type_str())
    })?;
    values.0.insert((section.name, option.key), (line, texts));
    Ok(())
}

/// A value is one text or a list of texts, whatever its type; the option knows what it wants.
fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    };
    match value {
        DeValue::Array(items) => items.iter().map(|item| text(item.get_ref())).collect(),
        other => text(other).map(|text| vec![text]),
    }
}

fn no_section(name: &str) -> String {
    let names = SECTIONS.iter().map(|section| section.name);
    match nearest(name, names) {
        Some(near) => format!("there is no section [{name}]; did you mean [{near}]?"),
        None => format!("there is no section [{name}]"),
    }
}

fn no_option(section: &Section, key: &str) -> String {
    let of = |section: &Section| match section.name {
        "" => "before the first section".to_owned(),
        name => format!("in [{name}]"),
    };
    let here = of(section);
    if let Some(near) = nearest(key, section.options.iter().map(|option| option.key)) {
        return format!("there is no option `{key}` {here}; did you mean `{near}`?");
    }
    let all =
        || SECTIONS.iter().flat_map(|section| section.options.iter().map(move |option| (section, option)));
    // The flag's name is what people know.
    let near = nearest(key, all().map(|(_, option)| option.key).chain(all().map(|(_, option)| option.flag)));
    match near.and_then(|near| all().find(|(_, option)| option.key == near || option.flag == near)) {
        Some((section, option)) => {
            format!("there is no option `{key}` {here}; `{}` belongs {}", option.key, of(section))
        }
        None => format!("there is no option `{key}` {here}"),
    }
}

/// The name most like it, if any is alike at all.
fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let alike = |name: &'a str| (strsim::jaro_winkler(word, name), name);
    let best = names.filter(|name| !name.is_empty()).map(alike).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.8).then_some(best.1)
}
