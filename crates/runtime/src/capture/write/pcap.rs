use super::{CaptureWriteErrorKind, bad_time, captured_length, put};
use crate::{
    capture::{Record, Timestamp, step::most_captured},
    link::LinkType,
};

/// Encodes one pcap file. The header waits for the first record, whose link type it names.
#[derive(Default)]
pub(super) struct Encoder {
    header: Option<Header>,
}

#[derive(Clone, Copy)]
struct Header {
    link_type: LinkType,
    snaplen: u32,
}

impl Encoder {
    pub(super) fn encode(
        &mut self,
        record: &Record<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CaptureWriteErrorKind> {
        let interface = record.interface;
        let header = self.header.unwrap_or(Header {
            link_type: interface.link_type,
            snaplen: most_captured(interface.snaplen),
        });
        if header.link_type != interface.link_type {
            let (first, second) = (header.link_type, interface.link_type);
            return Err(CaptureWriteErrorKind::SecondLinkType {
                record: record.number,
                first,
                second,
            });
        }
        let captured = captured_length(record, header.snaplen)?;
        let time = record.time.unwrap_or(Timestamp::from_nanos(0));
        let seconds = u32::try_from(time.seconds()).map_err(|_| bad_time(record, time))?;
        self.begin(header, out);
        put(
            out,
            &[
                seconds,
                time.subsecond_nanos(),
                captured,
                record.original_length,
            ],
        );
        out.extend_from_slice(record.data);
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.begin(
            Header {
                link_type: LinkType::ETHERNET,
                snaplen: most_captured(0),
            },
            out,
        );
    }

    fn begin(&mut self, header: Header, out: &mut Vec<u8>) {
        if self.header.is_none() {
            const NANOSECOND_MAGIC: u32 = 0xa1b2_3c4d;
            // Version 2.4, in one little-endian word.
            const VERSION: u32 = 4 << 16 | 2;
            let link_type = header.link_type.0.into();
            put(
                out,
                &[NANOSECOND_MAGIC, VERSION, 0, 0, header.snaplen, link_type],
            );
            self.header = Some(header);
        }
    }
}
