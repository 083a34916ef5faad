//! What a module's file says of itself.
//!
//! Source: include/linux/moduleparam.h (`.modinfo`), scripts/mod/modpost.c (`.gnu.linkonce.this_module`).

use super::ObjectFile;

/// Where `struct module` has its name: behind `enum module_state state` and `struct list_head list`, of 64 bits.
const NAME_AT: usize = 24;

/// A value of `.modinfo`, which is a row of `name=value` strings; `name` with the sign.
#[must_use]
pub fn modinfo(object: &ObjectFile, name: &[u8]) -> Option<String> {
    let info = object.section(".modinfo").ok()??;
    let value = info.split(|b| *b == 0).find_map(|line| line.strip_prefix(name))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The name that the kernel gives this module (with `_`), whatever the file is called.
#[must_use]
pub fn module_own_name(object: &ObjectFile) -> Option<String> {
    // since 4.13 (3e2e857f9c3a)
    let told = modinfo(object, b"name=");
    let own = || {
        let this = object.section(".gnu.linkonce.this_module").ok()??;
        let name = base::cstr(this.get(NAME_AT..)?);
        let plain = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        plain.then(|| String::from_utf8_lossy(name).into_owned())
    };
    told.filter(|name| !name.is_empty()).or_else(own).map(|name| name.replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::tests::Elf;

    #[test]
    fn a_module_s_name_is_in_its_file() {
        let open = |elf: Elf| ObjectFile::from_bytes(elf.build().into()).unwrap();
        let this = [&[0; NAME_AT][..], b"snd_hda\0\0\0", &[0; 900]].concat();
        let old = Elf::new(1).section(".gnu.linkonce.this_module", 1, 3, 0, &this);
        assert_eq!(module_own_name(&open(old.clone())).as_deref(), Some("snd_hda"));
        let new = old.section(".modinfo", 1, 2, 0, b"license=GPL\0name=snd-hda-intel\0vermagic=6.1 \0");
        assert_eq!(module_own_name(&open(new.clone())).as_deref(), Some("snd_hda_intel"));
        assert_eq!(modinfo(&open(new), b"vermagic=").as_deref(), Some("6.1 "));
        let short = Elf::new(1).section(".gnu.linkonce.this_module", 1, 3, 0, &[0; 8]);
        assert_eq!((module_own_name(&open(short)), module_own_name(&open(Elf::new(1)))), (None, None));
    }
}
