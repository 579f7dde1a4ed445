//! Exit codes, as sysexits(3) has them.

/// The command was used wrongly.
pub const USAGE: u8 = 64;
/// The input data was wrong.
pub const DATA: u8 = 65;
/// An input file is not there or not readable.
pub const NO_INPUT: u8 = 66;
/// Something that is needed is not to be had.
pub const UNAVAILABLE: u8 = 69;
/// Output could not be written.
pub const IO: u8 = 74;
/// The configuration is wrong.
pub const CONFIG: u8 = 78;
