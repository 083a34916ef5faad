//! Error numbers by name (include/uapi/asm-generic/errno-base.h and errno.h, include/linux/errno.h).

/// Error numbers that functions return as pointers, by number.
const ERRORS: &[(u16, &str)] = &[
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (21, "EISDIR"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (27, "EFBIG"),
    (28, "ENOSPC"),
    (30, "EROFS"),
    (32, "EPIPE"),
    (33, "EDOM"),
    (34, "ERANGE"),
    (35, "EDEADLK"),
    (36, "ENAMETOOLONG"),
    (38, "ENOSYS"),
    (39, "ENOTEMPTY"),
    (40, "ELOOP"),
    (61, "ENODATA"),
    (71, "EPROTO"),
    (74, "EBADMSG"),
    (75, "EOVERFLOW"),
    (84, "EILSEQ"),
    (90, "EMSGSIZE"),
    (93, "EPROTONOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (97, "EAFNOSUPPORT"),
    (99, "EADDRNOTAVAIL"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (107, "ENOTCONN"),
    (108, "ESHUTDOWN"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (113, "EHOSTUNREACH"),
    (114, "EALREADY"),
    (115, "EINPROGRESS"),
    (116, "ESTALE"),
    (117, "EUCLEAN"),
    (512, "ERESTARTSYS"),
    (517, "EPROBE_DEFER"),
    (524, "ENOTSUPP"),
    (529, "EIOCBQUEUED"),
];

/// `-ENODEV` of -19.
pub(crate) fn error_name(value: u64) -> Option<String> {
    let number = value.wrapping_neg();
    if !(1..=4095).contains(&number) {
        return None;
    }
    let name = ERRORS.iter().find(|(n, _)| u64::from(*n) == number).map(|(_, name)| *name);
    Some(name.map_or_else(|| format!("-{number}"), |name| format!("-{name}")))
}

/// 19 of `-ENODEV`.
pub(crate) fn error_number(text: &str) -> Option<u16> {
    let name = text.strip_prefix('-')?;
    ERRORS.iter().find(|(_, n)| *n == name).map(|(number, _)| *number)
}
