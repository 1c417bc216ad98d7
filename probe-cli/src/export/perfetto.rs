//! Perfetto's own format: protobuf packets of track events.

use std::io::{self, Write as _};

use prost::Message as _;
use serde_json::Value;

use super::{
    Exporter, Sink,
    counters::Count,
    proto::{
        COUNTER, Clock, ClockSnapshot, CounterDescriptor, DebugAnnotation, INSTANT, MONOTONIC,
        NEEDS_STATE, ProcessDescriptor, REALTIME, SLICE_BEGIN, SLICE_END, STATE_CLEARED,
        ThreadDescriptor, TracePacket, TracePacketDefaults, TrackDescriptor, TrackEvent,
        UNIT_COUNT, UNIT_SIZE_BYTES,
    },
    slices::Thread,
    timeline::{Draw, Timeline, arguments, title},
    tracks::{Tracks, Whose},
};
use crate::{event::Event, model::sizes::SizeClass, trace::header::Header};

/// All packets are of one sequence.
const SEQUENCE: u32 = 1;

/// `Trace.packet`, a message: number 1, wire type 2.
const PACKET_TAG: u8 = 1 << 3 | 2;

/// Begins an export.
///
/// # Errors
/// When it cannot be written.
pub fn exporter(header: &Header, out: Sink) -> io::Result<Box<dyn Exporter>> {
    let mut perfetto = Perfetto { out, tracks: Tracks::default() };
    let clock = &header.clock;
    let since_1970 = clock.start.saturating_add_signed(clock.realtime_offset);
    let clock = |id, time| Clock { clock_id: Some(id), timestamp: Some(time) };
    perfetto.packet(TracePacket {
        sequence_flags: Some(STATE_CLEARED),
        defaults: Some(TracePacketDefaults { timestamp_clock_id: Some(MONOTONIC) }),
        clock_snapshot: Some(ClockSnapshot {
            clocks: vec![clock(MONOTONIC, header.clock.start), clock(REALTIME, since_1970)],
            primary_trace_clock: Some(MONOTONIC),
        }),
        ..TracePacket::default()
    })?;
    Ok(Box::new(Timeline::new(perfetto)))
}

struct Perfetto {
    out: Sink,
    tracks: Tracks,
}

impl Perfetto {
    fn packet(&mut self, packet: TracePacket) -> io::Result<()> {
        let packet = TracePacket { trusted_packet_sequence_id: Some(SEQUENCE), ..packet };
        self.out.write_all(&[PACKET_TAG])?;
        self.out.write_all(&packet.encode_length_delimited_to_vec())
    }

    fn event(&mut self, time: u64, event: TrackEvent) -> io::Result<()> {
        self.packet(TracePacket {
            timestamp: Some(time),
            sequence_flags: Some(NEEDS_STATE),
            track_event: Some(event),
            ..TracePacket::default()
        })
    }

    /// The number of a track, which is told of when that is news.
    fn track(&mut self, whose: Whose, name: &str) -> io::Result<u64> {
        let (uuid, is_new) = self.tracks.number(whose, name);
        if !is_new {
            return Ok(uuid);
        }
        let called = (!name.is_empty()).then(|| name.to_owned());
        let mut track = TrackDescriptor { uuid: Some(uuid), ..TrackDescriptor::default() };
        match whose {
            Whose::Process(pid) => {
                let pid = Some(pid.cast_signed());
                track.process = Some(ProcessDescriptor { pid, process_name: called });
            }
            Whose::Thread(pid, tid) => {
                let (pid, tid) = (Some(pid.cast_signed()), Some(i64::from(tid)));
                track.thread = Some(ThreadDescriptor { pid, tid, thread_name: called });
            }
            Whose::Changes(pid) => {
                track.parent_uuid = Some(self.track(Whose::Process(pid), "")?);
                track.name = Some("splits and collapses".to_owned());
            }
            Whose::Counter(pid, name) => {
                track.parent_uuid = Some(self.track(Whose::Process(pid), "")?);
                track.name = Some(name.to_owned());
                track.counter = Some(CounterDescriptor { unit: Some(UNIT_SIZE_BYTES) });
            }
            Whose::Lost => {
                track.name = Some("lost operations".to_owned());
                track.counter = Some(CounterDescriptor { unit: Some(UNIT_COUNT) });
            }
            Whose::Notes => track.name = Some("notes".to_owned()),
        }
        self.packet(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })?;
        Ok(uuid)
    }

    /// The track of a thread; its process is named after its first thread.
    fn thread(&mut self, event: &Event) -> io::Result<u64> {
        let by = &event.by;
        let name = if by.pid == by.tid { by.comm.as_str() } else { "" };
        self.track(Whose::Process(by.pid), name)?;
        self.track(Whose::Thread(by.pid, by.tid), &by.comm)
    }

    fn value(&mut self, whose: Whose, time: u64, value: u64) -> io::Result<()> {
        let track_uuid = Some(self.track(whose, "")?);
        let counter_value = Some(i64::try_from(value).unwrap_or(i64::MAX));
        let r#type = Some(COUNTER);
        self.event(time, TrackEvent { r#type, track_uuid, counter_value, ..TrackEvent::default() })
    }
}

/// An operation as something of a type on a track.
fn shown(event: &Event, r#type: u32, track: u64) -> TrackEvent {
    TrackEvent {
        debug_annotations: arguments(event).into_iter().map(annotation).collect(),
        r#type: Some(r#type),
        track_uuid: Some(track),
        categories: vec![event.probe.family().name().to_owned()],
        name: Some(title(event)),
        counter_value: None,
    }
}

fn annotation((name, value): (String, Value)) -> DebugAnnotation {
    let named = DebugAnnotation { name: Some(name), ..DebugAnnotation::default() };
    match value {
        Value::Bool(value) => DebugAnnotation { bool_value: Some(value), ..named },
        Value::String(value) => DebugAnnotation { string_value: Some(value), ..named },
        Value::Number(number) => match number.as_u64() {
            Some(value) => DebugAnnotation { uint_value: Some(value), ..named },
            None => DebugAnnotation { int_value: number.as_i64(), ..named },
        },
        other => DebugAnnotation { string_value: Some(other.to_string()), ..named },
    }
}

impl Draw for Perfetto {
    fn begin(&mut self, event: &Event, end: Option<u64>) -> io::Result<()> {
        let track = self.thread(event)?;
        let r#type = if end.is_some() { SLICE_BEGIN } else { INSTANT };
        self.event(event.time, shown(event, r#type, track))
    }

    fn end(&mut self, (pid, tid): Thread, time: u64) -> io::Result<()> {
        let track_uuid = Some(self.track(Whose::Thread(pid, tid), "")?);
        let r#type = Some(SLICE_END);
        self.event(time, TrackEvent { r#type, track_uuid, ..TrackEvent::default() })
    }

    fn change(&mut self, event: &Event, pid: u32) -> io::Result<()> {
        let track = self.track(Whose::Changes(pid), "")?;
        self.event(event.end(), shown(event, INSTANT, track))
    }

    fn count(&mut self, count: &Count) -> io::Result<()> {
        self.track(Whose::Process(count.pid), &count.comm)?;
        SizeClass::ALL.into_iter().try_for_each(|class| {
            let whose = Whose::Counter(count.pid, class.title());
            self.value(whose, count.time, count.sizes.get(class))
        })
    }

    fn lost(&mut self, time: u64, number: u64) -> io::Result<()> {
        self.value(Whose::Lost, time, number)
    }

    fn note(&mut self, time: u64, text: &str) -> io::Result<()> {
        let track_uuid = Some(self.track(Whose::Notes, "")?);
        let (r#type, name) = (Some(INSTANT), Some(text.to_owned()));
        self.event(time, TrackEvent { r#type, track_uuid, name, ..TrackEvent::default() })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
