use crate::capture::step::ByteOrder;

/// The options at the end of a block: code and value of each, up to the end mark. Options that
/// run over the block's end give one `Broken`, and nothing after it.
pub(super) struct Options<'a> {
    order: ByteOrder,
    bytes: &'a [u8],
}

/// An option claims more bytes than the block has left.
pub(super) struct Broken;

impl<'a> Options<'a> {
    pub(super) fn new(order: ByteOrder, bytes: &'a [u8]) -> Self {
        Self { order, bytes }
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<(u16, &'a [u8]), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = std::mem::take(&mut self.bytes);
        // Blocks are padded to four bytes, so this is a whole header or the end.
        let (header, rest) = bytes.split_first_chunk::<4>()?;
        let code = self.order.u16([header[0], header[1]]);
        if code == 0 {
            return None;
        }
        let length = usize::from(self.order.u16([header[2], header[3]]));
        let Some(value) = rest.get(..length) else {
            return Some(Err(Broken));
        };
        self.bytes = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok((code, value)))
    }
}
