//! The programs of the sites: each site's number as fentry/fexit and as kprobe/kretprobe.
//!
//! A program only says which site it is: what it does stands once in the object, and the kernel verifies it for each
//! site, whose configuration it knows.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    macros::{fentry, fexit, kprobe, kretprobe},
    programs::{FEntryContext, FExitContext, ProbeContext, RetProbeContext},
};

use crate::{
    context::{Registers, Words},
    site,
};

#[inline(never)]
fn enter_words(context: *mut c_void, number: u32) {
    site::enter(Words(context), number);
}

#[inline(never)]
fn enter_registers(context: *mut c_void, number: u32) {
    site::enter(Registers(context), number);
}

#[inline(never)]
fn exit(number: u32) {
    site::exit(number);
}

macro_rules! sites {
    ($($number:literal: $fentry:ident, $fexit:ident, $kprobe:ident, $kretprobe:ident;)*) => {$(
        #[fentry]
        fn $fentry(context: FEntryContext) -> i32 {
            enter_words(context.as_ptr(), $number);
            0
        }

        #[fexit]
        fn $fexit(_context: FExitContext) -> i32 {
            exit($number);
            0
        }

        #[kprobe]
        fn $kprobe(context: ProbeContext) -> u32 {
            enter_registers(context.as_ptr(), $number);
            0
        }

        #[kretprobe]
        fn $kretprobe(_context: RetProbeContext) -> u32 {
            exit($number);
            0
        }
    )*};
}

sites! {
    0: site_0_fentry, site_0_fexit, site_0_kprobe, site_0_kretprobe;
    1: site_1_fentry, site_1_fexit, site_1_kprobe, site_1_kretprobe;
    2: site_2_fentry, site_2_fexit, site_2_kprobe, site_2_kretprobe;
    3: site_3_fentry, site_3_fexit, site_3_kprobe, site_3_kretprobe;
    4: site_4_fentry, site_4_fexit, site_4_kprobe, site_4_kretprobe;
    5: site_5_fentry, site_5_fexit, site_5_kprobe, site_5_kretprobe;
    6: site_6_fentry, site_6_fexit, site_6_kprobe, site_6_kretprobe;
    7: site_7_fentry, site_7_fexit, site_7_kprobe, site_7_kretprobe;
    8: site_8_fentry, site_8_fexit, site_8_kprobe, site_8_kretprobe;
    9: site_9_fentry, site_9_fexit, site_9_kprobe, site_9_kretprobe;
    10: site_10_fentry, site_10_fexit, site_10_kprobe, site_10_kretprobe;
    11: site_11_fentry, site_11_fexit, site_11_kprobe, site_11_kretprobe;
    12: site_12_fentry, site_12_fexit, site_12_kprobe, site_12_kretprobe;
    13: site_13_fentry, site_13_fexit, site_13_kprobe, site_13_kretprobe;
    14: site_14_fentry, site_14_fexit, site_14_kprobe, site_14_kretprobe;
    15: site_15_fentry, site_15_fexit, site_15_kprobe, site_15_kretprobe;
    16: site_16_fentry, site_16_fexit, site_16_kprobe, site_16_kretprobe;
    17: site_17_fentry, site_17_fexit, site_17_kprobe, site_17_kretprobe;
    18: site_18_fentry, site_18_fexit, site_18_kprobe, site_18_kretprobe;
    19: site_19_fentry, site_19_fexit, site_19_kprobe, site_19_kretprobe;
    20: site_20_fentry, site_20_fexit, site_20_kprobe, site_20_kretprobe;
    21: site_21_fentry, site_21_fexit, site_21_kprobe, site_21_kretprobe;
    22: site_22_fentry, site_22_fexit, site_22_kprobe, site_22_kretprobe;
    23: site_23_fentry, site_23_fexit, site_23_kprobe, site_23_kretprobe;
    24: site_24_fentry, site_24_fexit, site_24_kprobe, site_24_kretprobe;
    25: site_25_fentry, site_25_fexit, site_25_kprobe, site_25_kretprobe;
    26: site_26_fentry, site_26_fexit, site_26_kprobe, site_26_kretprobe;
    27: site_27_fentry, site_27_fexit, site_27_kprobe, site_27_kretprobe;
    28: site_28_fentry, site_28_fexit, site_28_kprobe, site_28_kretprobe;
    29: site_29_fentry, site_29_fexit, site_29_kprobe, site_29_kretprobe;
    30: site_30_fentry, site_30_fexit, site_30_kprobe, site_30_kretprobe;
    31: site_31_fentry, site_31_fexit, site_31_kprobe, site_31_kretprobe;
    32: site_32_fentry, site_32_fexit, site_32_kprobe, site_32_kretprobe;
    33: site_33_fentry, site_33_fexit, site_33_kprobe, site_33_kretprobe;
    34: site_34_fentry, site_34_fexit, site_34_kprobe, site_34_kretprobe;
    35: site_35_fentry, site_35_fexit, site_35_kprobe, site_35_kretprobe;
    36: site_36_fentry, site_36_fexit, site_36_kprobe, site_36_kretprobe;
    37: site_37_fentry, site_37_fexit, site_37_kprobe, site_37_kretprobe;
    38: site_38_fentry, site_38_fexit, site_38_kprobe, site_38_kretprobe;
    39: site_39_fentry, site_39_fexit, site_39_kprobe, site_39_kretprobe;
    40: site_40_fentry, site_40_fexit, site_40_kprobe, site_40_kretprobe;
    41: site_41_fentry, site_41_fexit, site_41_kprobe, site_41_kretprobe;
    42: site_42_fentry, site_42_fexit, site_42_kprobe, site_42_kretprobe;
    43: site_43_fentry, site_43_fexit, site_43_kprobe, site_43_kretprobe;
    44: site_44_fentry, site_44_fexit, site_44_kprobe, site_44_kretprobe;
    45: site_45_fentry, site_45_fexit, site_45_kprobe, site_45_kretprobe;
    46: site_46_fentry, site_46_fexit, site_46_kprobe, site_46_kretprobe;
    47: site_47_fentry, site_47_fexit, site_47_kprobe, site_47_kretprobe;
    48: site_48_fentry, site_48_fexit, site_48_kprobe, site_48_kretprobe;
    49: site_49_fentry, site_49_fexit, site_49_kprobe, site_49_kretprobe;
    50: site_50_fentry, site_50_fexit, site_50_kprobe, site_50_kretprobe;
    51: site_51_fentry, site_51_fexit, site_51_kprobe, site_51_kretprobe;
    52: site_52_fentry, site_52_fexit, site_52_kprobe, site_52_kretprobe;
    53: site_53_fentry, site_53_fexit, site_53_kprobe, site_53_kretprobe;
    54: site_54_fentry, site_54_fexit, site_54_kprobe, site_54_kretprobe;
    55: site_55_fentry, site_55_fexit, site_55_kprobe, site_55_kretprobe;
    56: site_56_fentry, site_56_fexit, site_56_kprobe, site_56_kretprobe;
    57: site_57_fentry, site_57_fexit, site_57_kprobe, site_57_kretprobe;
    58: site_58_fentry, site_58_fexit, site_58_kprobe, site_58_kretprobe;
    59: site_59_fentry, site_59_fexit, site_59_kprobe, site_59_kretprobe;
    60: site_60_fentry, site_60_fexit, site_60_kprobe, site_60_kretprobe;
    61: site_61_fentry, site_61_fexit, site_61_kprobe, site_61_kretprobe;
    62: site_62_fentry, site_62_fexit, site_62_kprobe, site_62_kretprobe;
    63: site_63_fentry, site_63_fexit, site_63_kprobe, site_63_kretprobe;
}
