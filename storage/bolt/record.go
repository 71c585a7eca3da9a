package bolt

import (
	"encoding/binary"
	"hash/crc32"
)

// A record is what stands behind every key: a version, a checksum and the payload. The checksum covers the key too, so
// that a value that ended up under another key, or a key that changed, is noticed.
const (
	recordVersion = 1
	recordHead    = 1 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func recordSum(key []byte, version byte, payload []byte) uint32 {
	sum := crc32.Update(0, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, []byte{version})
	return crc32.Update(sum, castagnoli, payload)
}

// record wraps a payload made of parts.
func record(key []byte, parts ...[]byte) []byte {
	n := recordHead
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, recordHead, n)
	for _, p := range parts {
		b = append(b, p...)
	}
	b[0] = recordVersion
	binary.BigEndian.PutUint32(b[1:], recordSum(key, recordVersion, b[recordHead:]))
	return b
}

// payload unwraps a record; ok is false for a damaged one. It is never nil for a sound one.
func payload(key, rec []byte) (p []byte, ok bool) {
	if len(rec) < recordHead || rec[0] != recordVersion {
		return nil, false
	}
	p = rec[recordHead:len(rec):len(rec)]
	return p, binary.BigEndian.Uint32(rec[1:]) == recordSum(key, rec[0], p)
}

// bucketMark is kept in a bolt bucket's sequence number: the checksum of the bucket's name, since bolt has none.
func bucketMark(name []byte) uint64 {
	return 1<<32 | uint64(crc32.Checksum(name, castagnoli))
}
