//! Pages: lists of entries, blocks or other pages, compressed as one zstd frame each.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

use crate::limits::{MAX_LEVEL, MAX_PAGE};
use crate::record::{self, PageContent, PageRecord, RECORD_VERSION};
use crate::{Error, Result, zstd_frame};

/// Builds a page item by item.
pub struct PageBuilder {
    content: PageContent,
    count: u64,
    bytes: Vec<u8>,
}

impl PageBuilder {
    /// An empty page.
    pub fn new(content: PageContent) -> Self {
        PageBuilder { content, count: 0, bytes: Vec::new() }
    }

    /// Adds an item, given as its record's bytes.
    pub fn push_encoded(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.count += 1;
    }

    /// Bytes so far, uncompressed.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Items so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The record's bytes and the payload.
    ///
    /// # Errors
    /// [`crate::Kind::Limit`] if the page is larger than [`MAX_PAGE`].
    pub fn finish(self) -> Result<(Vec<u8>, Vec<u8>)> {
        if self.bytes.len() as u64 > MAX_PAGE {
            return Err(Error::limit("EB-I01", "one entry needs more than 16 MiB of index"));
        }
        let page = PageRecord {
            version: RECORD_VERSION,
            content: self.content,
            count: self.count,
            decoded_len: self.bytes.len() as u64,
            extensions: Vec::new(),
        };
        let payload = zstd_frame::compress(&self.bytes, zstd_frame::LEVEL)?;
        Ok((record::encode(&page)?, payload))
    }
}

/// Reads a page's record (EB-I01).
///
/// # Errors
/// [`crate::Kind::Corrupt`], [`crate::Kind::Unsupported`] or [`crate::Kind::Limit`].
pub fn parse_record(record: &[u8]) -> Result<PageRecord> {
    let page: PageRecord = record::decode(record)?;
    if page.decoded_len > MAX_PAGE || page.count > page.decoded_len {
        return Err(Error::limit("EB-I01", format!("page declares {} items in {} bytes", page.count, page.decoded_len)));
    }
    if matches!(page.content, PageContent::Pages { level } if level == 0 || level > MAX_LEVEL) {
        return Err(Error::limit("EB-I01", "index is too deep"));
    }
    Ok(page)
}

/// The items of a page, read one by one: a page may say more than fits memory as typed values.
#[derive(Debug)]
pub struct Items<T> {
    bytes: Vec<u8>,
    at: usize,
    left: u64,
    item: PhantomData<T>,
}

impl<T> Items<T> {
    /// The items of a page that must list `content`.
    ///
    /// # Errors
    /// [`crate::Kind::Corrupt`] if it lists something else (EB-I03) or cannot be decompressed.
    pub fn new(page: &PageRecord, content: PageContent, payload: &[u8]) -> Result<Items<T>> {
        if page.content != content {
            return Err(Error::corrupt("EB-I03", format!("page lists {:?}, expected {content:?}", page.content)));
        }
        Ok(Items {
            bytes: zstd_frame::decompress(payload, page.decoded_len as usize, "EB-I02")?,
            at: 0,
            left: page.count,
            item: PhantomData,
        })
    }

    /// Items not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl<T: Serialize + DeserializeOwned> Iterator for Items<T> {
    type Item = Result<T>;

    /// The next item. Bytes behind the last one, and a record that cannot be read, are errors
    /// (EB-R01), after which there is nothing more.
    fn next(&mut self) -> Option<Result<T>> {
        let rest = &self.bytes[self.at..];
        if self.left == 0 {
            self.at = self.bytes.len();
            return (!rest.is_empty()).then(|| Err(Error::corrupt("EB-R01", format!("{} bytes follow a page's last item", rest.len()))));
        }
        self.left -= 1;
        match record::decode_first(rest) {
            Ok((item, consumed)) => {
                self.at += consumed;
                Some(Ok(item))
            }
            Err(e) => {
                self.left = 0;
                self.at = self.bytes.len();
                Some(Err(e))
            }
        }
    }
}
