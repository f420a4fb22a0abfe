//! How values are read and shown, the same way in the file, the environment and on the command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use symbolon_core::origin::Origin;

use crate::cluster::NatsUrl;
use crate::key::KeySource;
use crate::proxy::ClientAddress;

/// How an option is written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A whole number.
    Number,
    /// A text in quotes.
    Text,
    /// A list of texts; with commas in the environment and on the command line.
    List,
    /// true or false.
    Switch,
}

impl Form {
    /// What a value is to be.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Number => "a whole number",
            Self::Text => "a text in quotes",
            Self::List => "a list of texts",
            Self::Switch => "true or false",
        }
    }

    /// As TOML.
    pub fn write(self, values: &[String]) -> String {
        let quoted = |text: &String| toml::Value::String(text.clone()).to_string();
        match self {
            Self::List => format!("[{}]", values.iter().map(quoted).collect::<Vec<_>>().join(", ")),
            Self::Number | Self::Switch => values.first().cloned().unwrap_or_default(),
            Self::Text => values.first().map(quoted).unwrap_or_default(),
        }
    }
}

/// A kind of value. A value may be nothing: then it is shown as no text at all.
pub trait Value: Sized {
    /// How it is written.
    const FORM: Form;
    /// What stands for it in help.
    const PLACEHOLDER: &'static str;
    /// From its text, or its texts if it is a list.
    fn read(texts: &[String]) -> Result<Self, String>;
    /// The texts from which it would be read.
    fn show(&self) -> Vec<String>;
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn single(texts: &[String]) -> Result<&str, String> {
    match texts {
        [text] => Ok(text),
        _ => Err("takes one value".to_owned()),
    }
}

fn parse<T: FromStr>(texts: &[String], what: &str) -> Result<T, String> {
    let text = single(texts)?;
    text.parse().map_err(|_| format!("{text:?} is not {what}"))
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Value for $number {
            const FORM: Form = Form::Number;
            const PLACEHOLDER: &'static str = "N";
            fn read(texts: &[String]) -> Result<Self, String> {
                // TOML lets people write 10_000.
                let texts: Vec<String> = texts.iter().map(|text| text.replace('_', "")).collect();
                parse(&texts, "a whole number that fits here")
            }
            fn show(&self) -> Vec<String> {
                vec![self.to_string()]
            }
        }
    )*};
}
numbers!(u8 u16 u32 u64 usize);

impl Value for bool {
    const FORM: Form = Form::Switch;
    const PLACEHOLDER: &'static str = "true|false";
    fn read(texts: &[String]) -> Result<Self, String> {
        match single(texts)?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" | "y" | "t" => Ok(true),
            "false" | "no" | "off" | "0" | "n" | "f" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        }
    }
    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for String {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "TEXT";
    fn read(texts: &[String]) -> Result<Self, String> {
        if texts.is_empty() { Ok(Self::new()) } else { single(texts).map(str::to_owned) }
    }
    fn show(&self) -> Vec<String> {
        if self.is_empty() { Vec::new() } else { vec![self.clone()] }
    }
}

impl Value for PathBuf {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "PATH";
    fn read(texts: &[String]) -> Result<Self, String> {
        match single(texts)? {
            "" => Err("a path is not empty".to_owned()),
            path => Ok(path.into()),
        }
    }
    fn show(&self) -> Vec<String> {
        vec![self.display().to_string()]
    }
}

impl Value for SocketAddr {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "ADDRESS";
    fn read(texts: &[String]) -> Result<Self, String> {
        parse(texts, "an address with a port, such as 0.0.0.0:7600 or [::]:7600")
    }
    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for Origin {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "ORIGIN";
    fn read(texts: &[String]) -> Result<Self, String> {
        single(texts)?.parse().map_err(|error: symbolon_core::origin::OriginError| error.to_string())
    }
    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for NatsUrl {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "URL";
    fn read(texts: &[String]) -> Result<Self, String> {
        single(texts)?.parse()
    }
    fn show(&self) -> Vec<String> {
        vec![self.secret_text().to_owned()]
    }
}

impl Value for KeySource {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "PATH";
    fn read(texts: &[String]) -> Result<Self, String> {
        match single(texts)? {
            "none" => Ok(Self::Ephemeral),
            _ => PathBuf::read(texts).map(Self::File),
        }
    }
    fn show(&self) -> Vec<String> {
        vec![match self {
            Self::File(path) => path.display().to_string(),
            Self::Ephemeral => "none".to_owned(),
            Self::Given(_) => "given by the program".to_owned(),
        }]
    }
}

impl Value for Duration {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "TIME";
    fn read(texts: &[String]) -> Result<Self, String> {
        let text = single(texts)?;
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(format!("{text:?} is no time; write a number and ms, s, m or h, such as 25s")),
        };
        match number.parse::<u64>() {
            Ok(0) => Err("a time is longer than nothing".to_owned()),
            // A century; more would overflow a clock.
            Ok(number) => Ok(Self::from_millis(number.saturating_mul(ms).min(3_155_760_000_000))),
            Err(_) => Err(format!("{text:?} is no time; write a number and ms, s, m or h, such as 25s")),
        }
    }
    fn show(&self) -> Vec<String> {
        let ms = self.as_millis();
        if ms == 0 {
            return vec!["0s".to_owned()];
        }
        let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
        let (by, unit) = units.into_iter().find(|(by, _)| ms.is_multiple_of(*by)).unwrap_or((1, "ms"));
        vec![format!("{}{unit}", ms / by)]
    }
}

impl Value for IpNet {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "NETWORK";
    fn read(texts: &[String]) -> Result<Self, String> {
        let text = single(texts)?;
        // One address is a network of one.
        let network = text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| address.into()));
        network.ok_or_else(|| format!("{text:?} is no network; write 10.0.0.0/8, fd00::/8 or an address"))
    }
    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for ClientAddress {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "HOW";
    fn read(texts: &[String]) -> Result<Self, String> {
        match single(texts)? {
            "x-forwarded-for" => Ok(Self::XForwardedFor),
            "forwarded" => Ok(Self::Forwarded),
            "proxy-protocol" => Ok(Self::ProxyProtocol),
            other => Err(format!("{other:?} is none of x-forwarded-for, forwarded and proxy-protocol")),
        }
    }
    fn show(&self) -> Vec<String> {
        let text = match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
            Self::ProxyProtocol => "proxy-protocol",
        };
        vec![text.to_owned()]
    }
}

impl Value for LogFormat {
    const FORM: Form = Form::Text;
    const PLACEHOLDER: &'static str = "text|json";
    fn read(texts: &[String]) -> Result<Self, String> {
        match single(texts)? {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is neither text nor json")),
        }
    }
    fn show(&self) -> Vec<String> {
        vec![if *self == Self::Json { "json" } else { "text" }.to_owned()]
    }
}

impl<T: Value> Value for Option<T> {
    const FORM: Form = T::FORM;
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;
    fn read(texts: &[String]) -> Result<Self, String> {
        if texts.is_empty() { Ok(None) } else { T::read(texts).map(Some) }
    }
    fn show(&self) -> Vec<String> {
        self.as_ref().map(Value::show).unwrap_or_default()
    }
}

impl<T: Value> Value for Vec<T> {
    const FORM: Form = Form::List;
    const PLACEHOLDER: &'static str = T::PLACEHOLDER;
    fn read(texts: &[String]) -> Result<Self, String> {
        let filled = texts.iter().filter(|text| !text.is_empty());
        filled.map(|text| T::read(std::slice::from_ref(text))).collect()
    }
    fn show(&self) -> Vec<String> {
        self.iter().flat_map(Value::show).collect()
    }
}
