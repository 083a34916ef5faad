//! DMI strings that the kernel keeps (`dmi_ident`, drivers/firmware/dmi_scan.c).

use crate::error::{KernelError, Result};
use crate::session::Session;
use debuginfo::types::Type;

/// `enum dmi_field` since 5.9 (f5152f4ded1a), for kernels without types: the later names were put in the
/// middle, so that an array of another length cannot be named this way.
const FIELDS: [&str; 24] = [
    "DMI_NONE",
    "DMI_BIOS_VENDOR",
    "DMI_BIOS_VERSION",
    "DMI_BIOS_DATE",
    "DMI_BIOS_RELEASE",
    "DMI_EC_FIRMWARE_RELEASE",
    "DMI_SYS_VENDOR",
    "DMI_PRODUCT_NAME",
    "DMI_PRODUCT_VERSION",
    "DMI_PRODUCT_SERIAL",
    "DMI_PRODUCT_UUID",
    "DMI_PRODUCT_SKU",
    "DMI_PRODUCT_FAMILY",
    "DMI_BOARD_VENDOR",
    "DMI_BOARD_NAME",
    "DMI_BOARD_VERSION",
    "DMI_BOARD_SERIAL",
    "DMI_BOARD_ASSET_TAG",
    "DMI_CHASSIS_VENDOR",
    "DMI_CHASSIS_TYPE",
    "DMI_CHASSIS_VERSION",
    "DMI_CHASSIS_SERIAL",
    "DMI_CHASSIS_ASSET_TAG",
    "DMI_STRING_MAX",
];
/// Those that came later than 3.10.
const NEW_FIELDS: [&str; 4] =
    ["DMI_BIOS_RELEASE", "DMI_EC_FIRMWARE_RELEASE", "DMI_PRODUCT_SKU", "DMI_PRODUCT_FAMILY"];

/// Every string that is there, with its field's name.
///
/// # Errors
/// This kernel has none, or one of them is not in the dump.
pub fn strings(s: &Session) -> Result<Vec<(String, String)>> {
    let mem = s.mem();
    let at = s.need_symbol("dmi_ident")?;
    let mut out = Vec::new();
    for (index, name) in fields(s) {
        if name == "DMI_STRING_MAX" {
            break;
        }
        let text = mem.ptr(at.add(index.saturating_mul(8)))?;
        if text.is_null() {
            continue;
        }
        let text = mem.cstr(text, 256).map_err(KernelError::from)?;
        out.push((name, String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(out)
}

fn fields(s: &Session) -> Vec<(u64, String)> {
    let types = s.types();
    let found = types.find_enumerator("DMI_BIOS_VENDOR").into_iter().next();
    if let Some((at, _)) = found
        && let Ok(ty) = types.get(at)
        && let Type::Enum { values, .. } = &*ty
    {
        return values.iter().map(|(name, value)| (*value as u64, name.to_string())).collect();
    }
    // without types the array's length tells the two lists apart
    let table = &s.kernel_symbols().table;
    let span = table.find("dmi_ident").and_then(|sym| table.span(sym.id)).unwrap_or(0);
    let old = span < (FIELDS.len() as u64 - 1) * 8;
    let names = FIELDS.iter().filter(|name| !old || !NEW_FIELDS.contains(name));
    (0..).zip(names.map(|name| (*name).to_owned())).collect()
}
