//! A reader of BTF, the kernel's own description of its types and functions.
//!
//! Format: `Documentation/bpf/btf.rst`. It reads what attaching needs (prototypes, member offsets,
//! enumerators) from the raw bytes of `/sys/kernel/btf/vmlinux`, in a few milliseconds and without
//! a copy of every type. The input is checked: damaged BTF gives errors, never a wrong answer.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Where the running kernel's BTF is.
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// BTF that cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    /// Not BTF, or of another byte order.
    #[error("no BTF of this machine's byte order (magic {0:#06x})")]
    Magic(u16),
    /// Something points outside of its section.
    #[error("BTF is damaged: {0} lies outside of its section")]
    Outside(&'static str),
    /// A kind of type that this reader does not know, so that the types behind it are out of reach.
    #[error("BTF type {id} has unknown kind {kind}")]
    Kind {
        /// The type's number.
        id: u32,
        /// The kind's number.
        kind: u32,
    },
}

/// A function's prototype.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prototype {
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// It returns a value.
    pub returns: bool,
}

/// One parameter of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name; empty where BTF has none (tracepoints).
    pub name: String,
    /// The type as C writes it: `struct vm_area_struct *`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// A structure or union passed by value: in how many registers is not told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_value: bool,
}

/// The kinds of type that are found by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Named {
    Function,
    Structure,
    Typedef,
    Enumeration,
}

/// The kinds of types (`include/uapi/linux/btf.h`).
pub(crate) mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const PTR: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(crate) const FWD: u32 = 7;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(crate) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const FLOAT: u32 = 16;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// How deep types may nest in one question: cyclic BTF must not hang the reader.
const MAX_DEPTH: u32 = 32;
/// How many members are looked at for one question: nested without a name they multiply by depth.
const MAX_MEMBERS: u32 = 1 << 16;
/// The most parameters of a function; the kernel passes its programs 12 (`MAX_BPF_FUNC_ARGS`).
const MAX_PARAMETERS: u32 = 64;
/// The longest name in bytes: the kernel's own limit for BTF (`KSYM_NAME_LEN`).
const MAX_NAME: usize = 512;

/// The size of `struct btf_type` in bytes.
const TYPE_SIZE: usize = 12;

/// Parsed BTF.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where the strings are in `bytes`.
    strings: std::ops::Range<usize>,
    /// Where each type is in `bytes`; type 1 is the first.
    types: Vec<u32>,
    /// Types by the hash of kind and name, sorted; the name itself is compared when asked.
    index: Vec<(u64, u32)>,
}

/// One `struct btf_type`.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    info: u32,
    /// A size or a type number.
    payload: u32,
    /// Where its trailing data begins.
    data: usize,
}

impl Type {
    fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    fn len(self) -> u32 {
        self.info & 0xffff
    }

    fn kind_flag(self) -> bool {
        self.info >> 31 != 0
    }
}

impl Btf {
    /// Reads raw BTF.
    ///
    /// # Errors
    /// When it is damaged, of another byte order, or of a later format.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let header = |at: usize| read_u32(&bytes, at).ok_or(BtfError::Outside("the header"));
        let magic = u16::from_ne_bytes([
            *bytes.first().ok_or(BtfError::Outside("the header"))?,
            *bytes.get(1).ok_or(BtfError::Outside("the header"))?,
        ]);
        if magic != 0xeb9f {
            return Err(BtfError::Magic(magic));
        }
        let header_len = header(4)? as usize;
        let section = |offset: u32, len: u32| {
            let start = header_len.checked_add(offset as usize)?;
            let end = start.checked_add(len as usize)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let types =
            section(header(8)?, header(12)?).ok_or(BtfError::Outside("the type section"))?;
        let strings =
            section(header(16)?, header(20)?).ok_or(BtfError::Outside("the string section"))?;
        // Room from the start: growing would copy megabytes. A type takes up some 30 bytes.
        let room = types.len() / 24;
        let mut all = Vec::with_capacity(room);
        all.push(0);
        let index = Vec::with_capacity(room);
        let mut btf = Self { bytes, strings, types: all, index };
        btf.read_types(types)?;
        btf.index.sort_unstable();
        Ok(btf)
    }

    fn read_types(&mut self, section: std::ops::Range<usize>) -> Result<(), BtfError> {
        let mut at = section.start;
        while at < section.end {
            let id = u32::try_from(self.types.len()).map_err(|_| BtfError::Outside("a type"))?;
            let r#type = self.type_at(at).ok_or(BtfError::Outside("a type"))?;
            let data = data_size(r#type).ok_or(BtfError::Kind { id, kind: r#type.kind() })?;
            self.types.push(u32::try_from(at).map_err(|_| BtfError::Outside("a type"))?);
            if let Some(named) = named(r#type.kind())
                && let Some(name) = self.string(r#type.name)
                && !name.is_empty()
            {
                self.index.push((hash(named, name), id));
            }
            at = r#type.data + data;
        }
        if at == section.end { Ok(()) } else { Err(BtfError::Outside("a type")) }
    }

    /// The prototypes of all functions of this name; several when the kernel has several.
    #[must_use]
    pub fn functions(&self, name: &str) -> Vec<Prototype> {
        self.find(Named::Function, name)
            .filter_map(|function| self.prototype(self.get(function.payload)?))
            .collect()
    }

    /// The arguments that a raw tracepoint program of this name gets.
    #[must_use]
    pub fn tracepoint(&self, name: &str) -> Option<Prototype> {
        let typedef = self.find(Named::Typedef, &format!("btf_trace_{name}")).next()?;
        let pointer = self.get(typedef.payload)?;
        let mut prototype = self.prototype(self.get(pointer.payload)?)?;
        if prototype.parameters.is_empty() {
            return None;
        }
        // The first parameter is the private data of the tracepoint's function, which a program does not get.
        prototype.parameters.remove(0);
        Some(prototype)
    }

    /// The byte offset of a member, also of one inside of unnamed structures and unions; `None`
    /// when there is none, or it is a bit field.
    #[must_use]
    pub fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        let mut left = MAX_MEMBERS;
        self.find(Named::Structure, structure)
            .find_map(|structure| self.member(structure, member, 0, MAX_DEPTH, &mut left))
    }

    /// The number of the only function of this name.
    #[must_use]
    pub fn function_number(&self, name: &str) -> Option<u32> {
        self.number(Named::Function, name)
    }

    /// The number of the first structure of this name.
    #[must_use]
    pub fn structure_number(&self, name: &str) -> Option<u32> {
        self.number(Named::Structure, name)
    }

    fn number(&self, named: Named, name: &str) -> Option<u32> {
        let wanted = hash(named, name.as_bytes());
        let first = self.index.partition_point(|&(hash, _)| hash < wanted);
        let mut same = self.index[first..].iter().take_while(|&&(hash, _)| hash == wanted);
        let &(_, id) = same.next()?;
        let is_it = |r#type: Type| self.string(r#type.name) == Some(name.as_bytes());
        (same.next().is_none() && self.get(id).is_some_and(is_it)).then_some(id)
    }

    /// The size in bytes of a structure or union; `None` when there is none of this name.
    #[must_use]
    pub fn size(&self, structure: &str) -> Option<u32> {
        self.find(Named::Structure, structure).next().map(|structure| structure.payload)
    }

    /// The enumerators of an enumeration, as declared.
    #[must_use]
    pub fn enumerators(&self, name: &str) -> Vec<(String, i64)> {
        let Some(r#type) = self.find(Named::Enumeration, name).next() else {
            return Vec::new();
        };
        let wide = r#type.kind() == kind::ENUM64;
        let step = if wide { 12 } else { 8 };
        (0..r#type.len() as usize)
            .filter_map(|i| {
                let at = r#type.data + i * step;
                let name = String::from_utf8_lossy(self.string(read_u32(&self.bytes, at)?)?);
                let low = read_u32(&self.bytes, at + 4)?;
                let value = if wide {
                    let high = read_u32(&self.bytes, at + 8)?;
                    i64::from_ne_bytes((u64::from(high) << 32 | u64::from(low)).to_ne_bytes())
                } else {
                    i64::from(i32::from_ne_bytes(low.to_ne_bytes()))
                };
                Some((name.into_owned(), value))
            })
            .collect()
    }

    fn find<'a>(&'a self, named: Named, name: &'a str) -> impl Iterator<Item = Type> + 'a {
        let wanted = hash(named, name.as_bytes());
        let first = self.index.partition_point(|&(hash, _)| hash < wanted);
        self.index[first..]
            .iter()
            .take_while(move |&&(hash, _)| hash == wanted)
            .filter_map(|&(_, id)| self.get(id))
            .filter(move |r#type| {
                self::named(r#type.kind()) == Some(named)
                    && self.string(r#type.name) == Some(name.as_bytes())
            })
    }

    fn prototype(&self, r#type: Type) -> Option<Prototype> {
        if r#type.kind() != kind::FUNC_PROTO || r#type.len() > MAX_PARAMETERS {
            return None;
        }
        let parameters = (0..r#type.len() as usize)
            .map(|i| {
                let at = r#type.data + i * 8;
                let name = self.string(read_u32(&self.bytes, at)?)?;
                let id = read_u32(&self.bytes, at + 4)?;
                Some(Parameter {
                    name: String::from_utf8_lossy(name).into_owned(),
                    type_name: self.type_name(id, MAX_DEPTH)?,
                    by_value: self.is_structure(id, MAX_DEPTH)?,
                })
            })
            .collect::<Option<_>>()?;
        Some(Prototype { parameters, returns: r#type.payload != 0 })
    }

    fn type_name(&self, id: u32, depth: u32) -> Option<String> {
        if id == 0 {
            return Some("void".to_owned());
        }
        let depth = depth.checked_sub(1)?;
        let r#type = self.get(id)?;
        let name = || self.string(r#type.name).map(String::from_utf8_lossy);
        let inner = || self.type_name(r#type.payload, depth);
        Some(match r#type.kind() {
            kind::PTR => match inner()? {
                pointer if pointer.ends_with('*') => format!("{pointer}*"),
                other => format!("{other} *"),
            },
            kind::UNION => format!("union {}", name()?),
            kind::ENUM | kind::ENUM64 => format!("enum {}", name()?),
            kind::FWD if r#type.kind_flag() => format!("union {}", name()?),
            kind::STRUCT | kind::FWD => format!("struct {}", name()?),
            kind::CONST => format!("const {}", inner()?),
            kind::VOLATILE => format!("volatile {}", inner()?),
            kind::RESTRICT | kind::TYPE_TAG => inner()?,
            kind::ARRAY => "array".to_owned(),
            kind::FUNC_PROTO => "function".to_owned(),
            _ => name()?.into_owned(),
        })
    }

    fn is_structure(&self, id: u32, depth: u32) -> Option<bool> {
        if id == 0 {
            return Some(false);
        }
        let r#type = self.get(id)?;
        Some(match r#type.kind() {
            kind::STRUCT | kind::UNION => true,
            kind::TYPEDEF | kind::CONST | kind::VOLATILE | kind::TYPE_TAG => {
                self.is_structure(r#type.payload, depth.checked_sub(1)?)?
            }
            _ => false,
        })
    }

    fn member(
        &self,
        structure: Type,
        wanted: &str,
        base: u32,
        depth: u32,
        left: &mut u32,
    ) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        (0..structure.len() as usize).find_map(|i| {
            *left = left.checked_sub(1)?;
            let at = structure.data + i * 12;
            let name = self.string(read_u32(&self.bytes, at)?)?;
            let r#type = read_u32(&self.bytes, at + 4)?;
            let position = read_u32(&self.bytes, at + 8)?;
            // With the flag set, the upper 8 bits are the size of a bit field.
            let (bits, field_size) = if structure.kind_flag() {
                (position & 0x00ff_ffff, position >> 24)
            } else {
                (position, 0)
            };
            let whole = field_size == 0 && bits.is_multiple_of(8);
            let offset = base.checked_add(bits / 8)?;
            if name.is_empty() {
                self.member(self.resolve(r#type, depth)?, wanted, offset, depth, left)
            } else if name == wanted.as_bytes() && whole {
                Some(offset)
            } else {
                None
            }
        })
    }

    /// The structure or union behind qualifiers.
    fn resolve(&self, id: u32, depth: u32) -> Option<Type> {
        let r#type = self.get(id)?;
        match r#type.kind() {
            kind::STRUCT | kind::UNION => Some(r#type),
            kind::TYPEDEF | kind::CONST | kind::VOLATILE | kind::TYPE_TAG => {
                self.resolve(r#type.payload, depth.checked_sub(1)?)
            }
            _ => None,
        }
    }

    fn get(&self, id: u32) -> Option<Type> {
        if id == 0 {
            return None;
        }
        self.type_at(*self.types.get(id as usize)? as usize)
    }

    fn type_at(&self, at: usize) -> Option<Type> {
        Some(Type {
            name: read_u32(&self.bytes, at)?,
            info: read_u32(&self.bytes, at + 4)?,
            payload: read_u32(&self.bytes, at + 8)?,
            data: at + TYPE_SIZE,
        })
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let strings = self.bytes.get(self.strings.clone())?;
        let rest = strings.get(offset as usize..)?;
        let end = rest.iter().take(MAX_NAME).position(|&byte| byte == 0)?;
        Some(&rest[..end])
    }
}

fn named(kind: u32) -> Option<Named> {
    match kind {
        kind::FUNC => Some(Named::Function),
        kind::STRUCT => Some(Named::Structure),
        kind::TYPEDEF => Some(Named::Typedef),
        kind::ENUM | kind::ENUM64 => Some(Named::Enumeration),
        _ => None,
    }
}

/// FNV-1a over the kind and the name: the index only narrows the search.
fn hash(named: Named, name: &[u8]) -> u64 {
    name.iter().fold(0xcbf2_9ce4_8422_2325 ^ named as u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// How many bytes follow the `struct btf_type`.
fn data_size(r#type: Type) -> Option<usize> {
    let len = r#type.len() as usize;
    Some(match r#type.kind() {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::PTR
        | kind::FWD
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::FLOAT
        | kind::TYPE_TAG => 0,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * len,
        kind::ENUM | kind::FUNC_PROTO => 8 * len,
        _ => return None,
    })
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Btf, BtfError, Parameter, Prototype};

    /// Builds BTF by hand: strings by offset, types as words.
    struct Builder {
        strings: Vec<u8>,
        types: Vec<u32>,
    }

    impl Builder {
        fn new() -> Self {
            Self { strings: vec![0], types: Vec::new() }
        }

        fn name(&mut self, name: &str) -> u32 {
            if name.is_empty() {
                return 0;
            }
            let at = u32::try_from(self.strings.len()).unwrap();
            self.strings.extend(name.as_bytes());
            self.strings.push(0);
            at
        }

        fn add(&mut self, name: &str, kind: u32, len: u32, word: u32, data: &[u32]) {
            let name = self.name(name);
            self.types.extend([name, kind << 24 | len, word]);
            self.types.extend(data);
        }

        fn bytes(&self) -> Vec<u8> {
            let types = u32::try_from(self.types.len() * 4).unwrap();
            let strings = u32::try_from(self.strings.len()).unwrap();
            let mut bytes = Vec::new();
            for word in [0x0001_eb9f, 24, 0, types, types, strings].iter().chain(&self.types) {
                bytes.extend(word.to_ne_bytes());
            }
            bytes.extend(&self.strings);
            bytes
        }
    }

    fn sample() -> Builder {
        let mut b = Builder::new();
        b.add("long unsigned int", 1, 0, 8, &[64]); // 1
        let (vma, start, nested) = (b.name("vma"), b.name("vm_start"), 0);
        b.add("vm_area_struct", 4, 1, 16, &[nested, 4, 64]); // 2: an unnamed union at byte 8
        b.add("", 2, 0, 2, &[]); // 3: struct vm_area_struct *
        b.add("", 5, 1, 8, &[start, 1, 0]); // 4: union { vm_start }
        b.add("", 13, 2, 1, &[vma, 3, 0, 2]); // 5: (struct vm_area_struct *vma, struct vm_area_struct)
        b.add("handle", 12, 1, 5, &[]); // 6
        let (fail, succeed) = (b.name("SCAN_FAIL"), b.name("SCAN_SUCCEED"));
        b.add("scan_result", 6, 2, 4, &[fail, 0, succeed, 1]); // 7
        b.add("", 13, 2, 0, &[0, 3, 0, 1]); // 8: void (void *-like, unsigned long)
        b.add("", 2, 0, 8, &[]); // 9
        b.add("btf_trace_fault", 8, 0, 9, &[]); // 10
        b
    }

    #[test]
    fn functions_members_enumerators_and_tracepoints_are_found() {
        let btf = Btf::parse(sample().bytes()).unwrap();
        let parameter = |name: &str, r#type: &str, by_value| Parameter {
            name: name.to_owned(),
            type_name: r#type.to_owned(),
            by_value,
        };
        assert_eq!(
            btf.functions("handle"),
            [Prototype {
                parameters: vec![
                    parameter("vma", "struct vm_area_struct *", false),
                    parameter("", "struct vm_area_struct", true),
                ],
                returns: true,
            }]
        );
        assert_eq!(btf.functions("vm_area_struct"), []);
        assert_eq!(btf.offset("vm_area_struct", "vm_start"), Some(8));
        assert_eq!(btf.offset("vm_area_struct", "vm_end"), None);
        let results = [("SCAN_FAIL".to_owned(), 0), ("SCAN_SUCCEED".to_owned(), 1)];
        assert_eq!(btf.enumerators("scan_result"), results);
        let trace = btf.tracepoint("fault").unwrap();
        assert_eq!(trace.parameters, [parameter("", "long unsigned int", false)]);
        assert!(!trace.returns);
    }

    #[test]
    fn damaged_btf_gives_an_error() {
        let good = sample().bytes();
        assert_eq!(Btf::parse(Vec::new()).unwrap_err(), BtfError::Outside("the header"));
        assert_eq!(Btf::parse(vec![0; 24]).unwrap_err(), BtfError::Magic(0));
        for len in 0..good.len() {
            assert!(Btf::parse(good[..len].to_vec()).is_err(), "cut after {len} bytes");
        }
    }

    #[test]
    fn a_type_that_contains_itself_many_times_ends() {
        let mut b = Builder::new();
        let itself: Vec<u32> = [0, 1, 64].repeat(300);
        b.add("loop", 4, 300, 8, &itself);
        assert_eq!(Btf::parse(b.bytes()).unwrap().offset("loop", "x"), None);
    }

    #[test]
    fn a_type_that_contains_itself_ends() {
        let mut b = Builder::new();
        b.add("loop", 4, 1, 8, &[0, 1, 0]); // struct loop { struct loop; }
        b.add("", 10, 0, 2, &[]); // const of itself
        b.add("", 13, 1, 0, &[0, 2]);
        b.add("f", 12, 1, 3, &[]);
        let btf = Btf::parse(b.bytes()).unwrap();
        assert_eq!(btf.offset("loop", "x"), None);
        assert_eq!(btf.functions("f"), []);
    }
}
