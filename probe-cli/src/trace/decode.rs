//! Reads event lines, in one pass; those that are written as usual, [`quick`](super::quick) has read already.
//!
//! What serde derives for [`Event`] is right but slow, because it must hold all fields of a line before it knows the kind;
//! a trace has millions of them. Here every field that any kind has is a member of one structure, and texts are
//! borrowed from the line. A test compares the two.

use std::{borrow::Cow, fmt};

use probe_common::probe::Probe;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IntoDeserializer as _, Visitor, value},
};

use crate::{
    change::{Change, Folio},
    escape::harmless,
    event::{Actor, Address, Detail, Event},
    stacks::Stacks,
};

/// A line: its kind, and what events have.
#[derive(Default, Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(borrow)]
    pub(super) kind: Text<'a>,
    pub(super) time: Option<u64>,
    #[serde(borrow)]
    pub(super) probe: Option<Text<'a>>,
    pub(super) duration: Option<u64>,
    pub(super) pid: Option<u32>,
    #[serde(borrow)]
    pub(super) by: Option<By<'a>>,
    pub(super) stacks: Option<Box<Stacks>>,
    pub(super) address: Option<Address>,
    pub(super) start: Option<Address>,
    pub(super) end: Option<Address>,
    pub(super) to: Option<Address>,
    pub(super) from: Option<Address>,
    pub(super) write: Option<bool>,
    pub(super) freeze: Option<bool>,
    pub(super) done: Option<bool>,
    #[serde(borrow)]
    pub(super) outcome: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) into: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) path: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) callback: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) request: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) change: Option<Text<'a>>,
    pub(super) page_size: Option<u64>,
    pub(super) pages: Option<u64>,
    pub(super) new_order: Option<u32>,
    pub(super) order: Option<u32>,
    pub(super) errno: Option<i32>,
    pub(super) result: Option<i32>,
}

#[derive(Deserialize)]
pub(super) struct By<'a> {
    pub(super) pid: u32,
    pub(super) tid: u32,
    #[serde(borrow)]
    pub(super) comm: Text<'a>,
    #[serde(default)]
    pub(super) kernel: bool,
    pub(super) cpu: u16,
}

/// A text that is borrowed from the line, unless it has escapes of JSON.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowed)
    }
}

impl Text<'_> {
    /// Fit to be shown.
    fn harmless(self) -> String {
        let mut text = self.0.into_owned();
        harmless(&mut text);
        text
    }

    /// The value of this name.
    fn named<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize((*self.0).into_deserializer())
    }
}

/// Why a line is no event.
pub(super) type Error = value::Error;

impl Fields<'_> {
    /// The event.
    ///
    /// # Errors
    /// When a field is missing, or has a value that this version does not know.
    pub(super) fn event(&mut self) -> Result<Event, Error> {
        let probe = probe(&has(self.probe.as_ref(), "probe")?.0)?;
        let (time, duration, pid) = (want(self.time, "time")?, self.duration, self.pid);
        let By { pid: actor, tid, comm, kernel, cpu } = want(self.by.take(), "by")?;
        let by = Actor { pid: actor, tid, comm: comm.harmless(), kernel, cpu };
        let mut stacks = self.stacks.take();
        if let Some(stacks) = &mut stacks {
            for frame in stacks.user.frames.iter_mut().chain(&mut stacks.kernel.frames) {
                let texts = [&mut frame.symbol, &mut frame.file, &mut frame.module];
                texts.into_iter().flatten().for_each(harmless);
            }
        }
        Ok(Event { time, probe, duration, pid, by, detail: self.detail()?, stacks })
    }

    fn detail(&mut self) -> Result<Detail, Error> {
        let detail = match &*self.kind.0 {
            "fault" => Detail::Fault {
                address: want(self.address, "address")?,
                write: want(self.write, "write")?,
                outcome: has(self.outcome.as_ref(), "outcome")?.named()?,
                page_size: self.page_size,
            },
            "pmd_split" => Detail::PmdSplit {
                address: want(self.address, "address")?,
                into: has(self.into.as_ref(), "into")?.named()?,
                freeze: self.freeze.unwrap_or(false),
            },
            "folio_split" => Detail::FolioSplit {
                new_order: want(self.new_order, "new_order")?,
                errno: want(self.errno, "errno")?,
            },
            "collapse" => Detail::Collapse {
                address: self.address,
                outcome: want(self.outcome.take(), "outcome")?.harmless(),
                order: self.order,
            },
            "collapse_request" => {
                let (start, end) = self.range()?;
                Detail::CollapseRequest { start, end, errno: want(self.errno, "errno")? }
            }
            "walk" => {
                let (start, end) = self.range()?;
                Detail::Walk {
                    start,
                    end,
                    path: has(self.path.as_ref(), "path")?.named()?,
                    result: want(self.result, "result")?,
                    callback: self.callback.take().map(Text::harmless),
                }
            }
            _ => Detail::Change(self.change()?),
        };
        Ok(detail)
    }

    fn change(&self) -> Result<Change, Error> {
        let errno = || want(self.errno, "errno");
        let change = match &*self.kind.0 {
            "zap" => self.range().map(|(start, end)| Change::Zap { start, end })?,
            "protect" => {
                let (start, end) = self.range()?;
                Change::Protect { start, end, pages: self.pages }
            }
            "move" => {
                let (start, end) = self.range()?;
                Change::Move { start, end, to: want(self.to, "to")? }
            }
            "fork" => {
                let (start, end) = self.range()?;
                Change::Fork { start, end, errno: errno()? }
            }
            "share" => self.range().map(|(start, end)| Change::Share { start, end })?,
            "unshare" => self.range().map(|(start, end)| Change::Unshare { start, end })?,
            "retract" => Change::Retract,
            "unuse" => {
                let (start, end) = self.range()?;
                Change::Unuse { start, end, errno: errno()? }
            }
            "ksm_merge" => self.range().map(|(start, end)| Change::KsmMerge { start, end })?,
            "pud_split" => self.range().map(|(start, end)| Change::PudSplit { start, end })?,
            "uffd" => {
                let (start, end) = self.range()?;
                let request = has(self.request.as_ref(), "request")?.named()?;
                Change::Uffd { request, start, end, from: self.from, errno: errno()? }
            }
            "migrate" => Change::Migrate(self.folio()?),
            "restore" => Change::Restore(self.folio()?),
            "reclaim" => Change::Reclaim(self.folio()?),
            "exec" => Change::Exec { errno: errno()? },
            "exit" => Change::Exit,
            "vma" => {
                let (start, end) = self.range()?;
                let change = has(self.change.as_ref(), "change")?.named()?;
                Change::Vma { change, start, end, errno: errno()? }
            }
            kind => return Err(Error::custom(format_args!("no event is a {kind:?}"))),
        };
        Ok(change)
    }

    fn range(&self) -> Result<(Address, Address), Error> {
        Ok((want(self.start, "start")?, want(self.end, "end")?))
    }

    fn folio(&self) -> Result<Folio, Error> {
        let (start, done) = (want(self.start, "start")?, want(self.done, "done")?);
        Ok(Folio { start, end: self.end, done })
    }
}

fn want<T>(field: Option<T>, name: &'static str) -> Result<T, Error> {
    field.ok_or_else(|| Error::missing_field(name))
}

fn has<'a, T>(field: Option<&'a T>, name: &'static str) -> Result<&'a T, Error> {
    field.ok_or_else(|| Error::missing_field(name))
}

/// The probe of a name.
fn probe(name: &str) -> Result<Probe, Error> {
    Probe::ALL
        .into_iter()
        .find(|probe| probe.name() == name)
        .ok_or_else(|| Error::custom(format_args!("no probe is called {name:?}")))
}

#[cfg(test)]
mod tests {
    use probe_common::probe::Probe;
    use serde_json::json;

    use super::Fields;
    use crate::event::Event;

    /// One event line of each kind, with every field that it can have.
    fn details() -> Vec<serde_json::Value> {
        let (a, b) = ("0x1000", "0x3000");
        let folio = |kind: &str| json!({"kind": kind, "start": a, "end": b, "done": true});
        vec![
            json!({"kind": "fault", "address": a, "write": true, "outcome": "retry", "page_size": 4096}),
            json!({"kind": "fault", "address": a, "write": false, "outcome": "hardware_poison"}),
            json!({"kind": "pmd_split", "address": a, "into": "nothing", "freeze": true}),
            json!({"kind": "folio_split", "new_order": 2, "errno": -16}),
            json!({"kind": "collapse", "address": a, "outcome": "succeed", "order": 9}),
            json!({"kind": "collapse", "outcome": "unknown"}),
            json!({"kind": "collapse_request", "start": a, "end": b, "errno": 0}),
            json!({"kind": "walk", "start": a, "end": b, "path": "hugetlb", "callback": "x", "result": 1}),
            json!({"kind": "zap", "start": a, "end": b}),
            json!({"kind": "protect", "start": a, "end": b, "pages": 2}),
            json!({"kind": "move", "start": a, "end": b, "to": "0x5000"}),
            json!({"kind": "fork", "start": a, "end": b, "errno": 0}),
            json!({"kind": "share", "start": a, "end": b}),
            json!({"kind": "unshare", "start": a, "end": b}),
            json!({"kind": "retract"}),
            json!({"kind": "unuse", "start": a, "end": b, "errno": -4}),
            json!({"kind": "ksm_merge", "start": a, "end": b}),
            json!({"kind": "pud_split", "start": a, "end": b}),
            json!({"kind": "uffd", "request": "write_protect", "start": a, "end": b, "from": a, "errno": 0}),
            folio("migrate"),
            folio("restore"),
            json!({"kind": "reclaim", "start": a, "done": false}),
            json!({"kind": "exec", "errno": -2}),
            json!({"kind": "exit"}),
            json!({"kind": "vma", "change": "resize", "start": a, "end": b, "errno": 0}),
        ]
    }

    #[test]
    fn events_are_what_serde_makes_of_them() {
        for (number, detail) in details().into_iter().enumerate() {
            let mut line = json!({
                "time": number, "probe": Probe::ALL[number].name(), "duration": 5, "pid": 7, "later": [1],
                "by": {"pid": 1, "tid": 2, "comm": "a\u{7f16}", "kernel": true, "cpu": 3},
                "stacks": {"user": {"frames": [{"address": "0x1", "symbol": "main"}]}, "kernel": {"frames": []}},
            });
            line.as_object_mut().unwrap().extend(detail.as_object().unwrap().clone());
            let text = line.to_string();
            let event: Event = serde_json::from_str(&text).unwrap();
            let mut fields: Fields<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(fields.event().unwrap(), event, "{text}");
            // And each field that is missing is missed, unless it may be absent.
            for name in line.as_object().unwrap().keys().filter(|name| *name != "kind") {
                let mut less = line.clone();
                less.as_object_mut().unwrap().remove(name);
                let text = less.to_string();
                let slow = serde_json::from_str::<Event>(&text).ok();
                let fast = serde_json::from_str::<Fields<'_>>(&text).unwrap().event().ok();
                assert_eq!(fast, slow, "{text}");
            }
        }
    }

    #[test]
    fn no_kind_of_event_is_forgotten() {
        let schema: serde_json::Value =
            serde_json::from_str(&crate::trace::schema::text()).unwrap();
        let own = details();
        let is_here = |kind: &serde_json::Value| own.iter().any(|detail| detail["kind"] == *kind);
        let events = schema["$defs"]["Event"]["anyOf"].as_array().unwrap();
        let changes = schema["$defs"]["Change"]["oneOf"].as_array().unwrap();
        let kinds = events.iter().chain(changes).map(|one| &one["properties"]["kind"]["const"]);
        let kinds: Vec<_> = kinds.filter(|kind| kind.is_string()).collect();
        assert!(kinds.len() > 20 && kinds.into_iter().all(is_here));
    }

    #[test]
    fn texts_are_made_harmless() {
        let text = r#"{"kind":"collapse","outcome":"a\u001b[2J","time":1,"probe":"collapse","by":{"pid":1,"tid":1,"comm":"\\x1b\u202e","cpu":0}}"#;
        let event = serde_json::from_str::<Fields<'_>>(text).unwrap().event().unwrap();
        assert!(event.detail.to_string().contains("a\\x1b[2J"), "{event:?}");
        assert_eq!(event.by.comm, "\\x1b\\u{202e}");
    }
}
