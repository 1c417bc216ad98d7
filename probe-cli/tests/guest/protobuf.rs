//! Protobuf read by the rules of its encoding alone, to look at what another piece of code wrote.

/// A field of a message: its number, and a number or bytes.
pub(crate) type Field<'a> = (u64, Value<'a>);

/// What a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    /// Wire type 0.
    Number(u64),
    /// Wire type 2: text, or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message; `None` when it is none, or has something of another wire type.
pub(crate) fn message(mut bytes: &[u8]) -> Option<Vec<Field<'_>>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (own, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(own)
            }
            _ => return None,
        };
        fields.push((tag >> 3, value));
    }
    Some(fields)
}

/// The packets of a trace of Perfetto: field 1 of its only message, again and again.
pub(crate) fn packets(trace: &[u8]) -> Option<Vec<Vec<Field<'_>>>> {
    let packet = |(number, value)| match (number, value) {
        (1, Value::Bytes(packet)) => message(packet),
        _ => None,
    };
    message(trace)?.into_iter().map(packet).collect()
}

/// The number in a field.
pub(crate) fn number(fields: &[Field<'_>], field: u64) -> Option<u64> {
    match get(fields, field)? {
        Value::Number(number) => Some(number),
        Value::Bytes(_) => None,
    }
}

/// The message in a field.
pub(crate) fn inner<'a>(fields: &[Field<'a>], field: u64) -> Option<Vec<Field<'a>>> {
    match get(fields, field)? {
        Value::Number(_) => None,
        Value::Bytes(bytes) => message(bytes),
    }
}

fn get<'a>(fields: &[Field<'a>], field: u64) -> Option<Value<'a>> {
    fields.iter().find(|(number, _)| *number == field).map(|(_, value)| *value)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0)? + 1;
    let (own, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(own.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7f)))
}
