//! Records and configuration shared by both sides.
#![no_std]
