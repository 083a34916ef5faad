//! Debug files and packages, made here, and a server that sends some.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

/// Where a server of HTTP listens that answers the first line of each request: with a file, or 404.
pub(crate) fn served(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let (status, body) = match answer(String::from_utf8_lossy(&request).lines().next().unwrap_or(""))
            {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", Vec::new()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    url
}

/// An ELF file with a build id and a section for debug information.
pub(crate) fn debug_file(id: &str) -> Vec<u8> {
    let id: Vec<u8> =
        (0..id.len()).step_by(2).map(|i| u8::from_str_radix(&id[i..i + 2], 16).unwrap()).collect();
    let mut note = [4_u32, id.len() as u32, 3].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
    note.extend_from_slice(b"GNU\0");
    note.extend_from_slice(&id);
    let names = b"\0.note.gnu.build-id\0.debug_info\0.shstrtab\0";
    let sections: [(u32, u32, &[u8]); 3] = [(1, 7, &note), (20, 1, &[0; 16]), (32, 3, names)];
    let mut file = vec![0; 64];
    let mut headers = vec![0; 64];
    for (name, kind, bytes) in sections {
        headers.extend_from_slice(&name.to_le_bytes());
        headers.extend_from_slice(&kind.to_le_bytes());
        for n in [0, 0, file.len() as u64, bytes.len() as u64, 0, 1, 0] {
            headers.extend_from_slice(&n.to_le_bytes());
        }
        headers.truncate(headers.len().next_multiple_of(64));
        headers.resize(headers.len().next_multiple_of(64), 0);
        file.extend_from_slice(bytes);
    }
    let at = file.len() as u64;
    file.extend_from_slice(&headers);
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[16..20].copy_from_slice(&[2, 0, 62, 0]);
    file[40..48].copy_from_slice(&at.to_le_bytes());
    file[58..64].copy_from_slice(&[64, 0, 4, 0, 3, 0]);
    file
}

/// A Debian package with one file.
pub(crate) fn package(path: &Path, member: &str, bytes: &[u8]) {
    let mut tar = vec![0_u8; 512];
    tar[..member.len()].copy_from_slice(member.as_bytes());
    tar[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    tar[156] = b'0';
    tar[257..263].copy_from_slice(b"ustar\0");
    tar.extend_from_slice(bytes);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    let mut out = b"!<arch>\n".to_vec();
    writeln!(out, "{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", "data.tar", 0, 0, 0, 0, tar.len()).unwrap();
    out.extend_from_slice(&tar);
    std::fs::write(path, out).unwrap();
}
