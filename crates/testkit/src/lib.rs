//! What the tests, benchmarks and fuzz targets of portcullis share: golden
//! cases and how to run them, and generators of rules and packets.

pub mod agreement;
pub mod generate;
pub mod golden;
pub mod pcap;
