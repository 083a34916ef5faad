//! VMCOREINFO: the kernel's own text of `key=value` lines about itself (kernel/vmcore_info.c, before
//! 6.9 kernel/kexec_core.c). Symbols and `KERNELOFFSET` are hexadecimal, everything else is decimal and may
//! be negative.

use crate::VirtAddr;
use std::collections::BTreeMap;

/// The parsed lines, and the text that they came from.
#[derive(Clone, Default, Debug)]
pub struct VmcoreInfo {
    text: String,
    values: BTreeMap<String, String>,
}

impl VmcoreInfo {
    /// Reads the note's bytes. Whatever is no `key=value` line is skipped; NUL ends the text. The last of
    /// two lines with one key counts, as the kernel appends.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(crate::cstr(bytes)).into_owned();
        let values = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Self { text, values }
    }
    /// The same without the lines of these keys.
    #[must_use]
    pub fn without(&self, keys: &[String]) -> Self {
        let is_kept = |line: &&str| {
            let key = line.split_once('=').map(|(key, _)| key.trim());
            key.is_none_or(|key| !keys.iter().any(|gone| gone == key))
        };
        let mut text = String::with_capacity(self.text.len());
        for line in self.text.lines().filter(is_kept) {
            text.push_str(line);
            text.push('\n');
        }
        let values = self.values.iter().filter(|(key, _)| !keys.contains(key));
        Self { values: values.map(|(k, v)| (k.clone(), v.clone())).collect(), text }
    }
    /// The text as the kernel wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// True when no line was understood.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
    /// The value behind a whole key: `OSRELEASE`, `BUILD-ID`, `PAGESIZE`, `CRASHTIME`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }
    fn inside(&self, kind: &str, name: &str) -> Option<&str> {
        self.get(&format!("{kind}({name})"))
    }
    /// `SYMBOL(name)`: the address that the symbol had in the running kernel.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<VirtAddr> {
        hex(self.inside("SYMBOL", name)?).map(VirtAddr)
    }
    /// The name in the key of a `SYMBOL(name)` line.
    #[must_use]
    pub fn symbol_name(key: &str) -> Option<&str> {
        key.strip_prefix("SYMBOL(")?.strip_suffix(')')
    }
    /// `OFFSET(struct.member)`, in bytes.
    #[must_use]
    pub fn offset(&self, member: &str) -> Option<u64> {
        self.inside("OFFSET", member)?.parse().ok()
    }
    /// `SIZE(type)`, in bytes.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u64> {
        self.inside("SIZE", name)?.parse().ok()
    }
    /// `LENGTH(array)`, in elements.
    #[must_use]
    pub fn length(&self, name: &str) -> Option<u64> {
        self.inside("LENGTH", name)?.parse().ok()
    }
    /// `NUMBER(name)`; signed, and larger than `i64` only where the kernel printed an unsigned mask.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        let text = self.inside("NUMBER", name)?;
        match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok().map(u64::cast_signed),
            None => text.parse().ok().or_else(|| text.parse::<u64>().ok().map(u64::cast_signed)),
        }
    }
    /// `KERNELOFFSET`: how far KASLR moved the kernel's image; absent in kernels without KASLR.
    #[must_use]
    pub fn kernel_offset(&self) -> Option<u64> {
        hex(self.get("KERNELOFFSET")?)
    }
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line() {
        let info = VmcoreInfo::parse(
            b"OSRELEASE=6.1.0\nSYMBOL(prb)=ffffffff972622c0\nOFFSET(page.lru)=8\nSIZE(page)=64\n\
              LENGTH(node_data)=1024\nNUMBER(phys_base)=-111149056\nNUMBER(sme_mask)=9223372036854775808\n\
              KERNELOFFSET=14800000\nnonsense\n\0junk=1\n",
        );
        assert_eq!(info.get("OSRELEASE"), Some("6.1.0"));
        assert_eq!(info.symbol("prb"), Some(VirtAddr(0xffff_ffff_9726_22c0)));
        assert_eq!(info.offset("page.lru"), Some(8));
        assert_eq!(info.size("page"), Some(64));
        assert_eq!(info.length("node_data"), Some(1024));
        assert_eq!(info.number("phys_base"), Some(-111_149_056));
        assert_eq!(info.number("sme_mask"), Some(i64::MIN));
        assert_eq!(info.kernel_offset(), Some(0x1480_0000));
        assert_eq!(info.get("junk"), None);
        assert!(info.symbol("absent").is_none());
        let fewer = info.without(&["SYMBOL(prb)".to_owned(), "SIZE(page)".to_owned()]);
        assert_eq!(
            (fewer.symbol("prb"), fewer.size("page"), fewer.offset("page.lru")),
            (None, None, Some(8))
        );
        assert!(
            !fewer.text().contains("prb")
                && fewer.text().starts_with("OSRELEASE=6.1.0\nOFFSET(page.lru)=8\n")
        );
    }
}
