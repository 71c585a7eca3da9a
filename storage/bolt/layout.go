package bolt

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// The layout of the file, format 2. Every value is a record (record.go); every bolt bucket bears its mark. Paths are
// written into one name instead of nesting a bolt bucket for each element, since every level would cost every commit a
// page and every read a look-up.
//
//	"meta"                "format": number, "state": "open" or "clean", "journal": salt and number of the last one moved here
//	"data"
//	  path 'k' name       a KV: key → value
//	  path 'a' name       an archive:
//	    "f"               the highest ID that a dropped owner had
//	    owner "\x00c"     counters
//	    owner "\x00o"     'i' id → item
//	                      'w' length with id → a checksum of Resource, or nothing: the index of With
//
// Each element of a path is a 'b', the element with every 0 byte followed by 0xff, and the bytes 0 1: no path is the
// beginning of another one's name, except where it is above it.
var (
	rootMeta  = []byte("meta")
	rootData  = []byte("data")
	keyFormat = []byte("format")
	keyState  = []byte("state")
)

const (
	kindPath    = 'b'
	kindKV      = 'k'
	kindArchive = 'a'
)

// pathName writes a path.
func pathName(path []string) []byte {
	var n []byte
	for _, p := range path {
		n = append(n, kindPath)
		for i := range len(p) {
			if n = append(n, p[i]); p[i] == 0 {
				n = append(n, 0xff)
			}
		}
		n = append(n, 0, 1)
	}
	return n
}

// steps are the names of the nested bolt buckets from the root to a KV or an archive.
func steps(path []string, kind byte, name string) [][]byte {
	return [][]byte{rootData, append(append(pathName(path), kind), name...)}
}

// isArchive tells what lies below a path's name.
func isArchive(name []byte) bool {
	if i := bytes.LastIndex(name, []byte{0, 1}); i >= 0 {
		name = name[i+2:]
	}
	return len(name) > 0 && name[0] == kindArchive
}

type parent interface {
	Bucket(name []byte) *bolt.Bucket
	CreateBucket(name []byte) (*bolt.Bucket, error)
	DeleteBucket(name []byte) error
}

// open finds a nested bucket; nil where there is none. It runs under guard.
func open(p parent, names [][]byte) (*bolt.Bucket, error) {
	var b *bolt.Bucket
	for _, n := range names {
		if b = p.Bucket(n); b == nil {
			return nil, nil
		}
		if b.Sequence() != bucketMark(n) {
			return nil, fmt.Errorf("%w: bucket %s is not what its name says", storage.ErrCorrupt, pathText(names))
		}
		p = b
	}
	return b, nil
}

// pathText writes the names of nested buckets for people, such as "modules"/"localhost"/"roster".
func pathText(names [][]byte) string {
	if len(names) < 2 || !bytes.Equal(names[0], rootData) {
		return fmt.Sprintf("%q", bytes.Join(names, []byte("/")))
	}
	var b bytes.Buffer
	n := names[1]
	for len(n) > 0 && n[0] == kindPath {
		end := bytes.Index(n, []byte{0, 1})
		if end < 0 {
			break
		}
		fmt.Fprintf(&b, "%q/", short(bytes.ReplaceAll(n[1:end], []byte{0, 0xff}, []byte{0})))
		n = n[end+2:]
	}
	if len(n) > 0 {
		n = n[1:] // the kind
	}
	fmt.Fprintf(&b, "%q", short(n))
	if len(names) > 2 { // an archive's owner, with two bytes for what it is
		n := names[2]
		fmt.Fprintf(&b, ", owner %q", short(n[:max(0, len(n)-2)]))
	}
	return b.String()
}

// short cuts what a message shows of a key.
func short(k []byte) []byte {
	if len(k) > 64 {
		return append(k[:61:61], "..."...)
	}
	return k
}

func damaged(names [][]byte, key []byte) error {
	return fmt.Errorf("%w: bucket %s, key %q", storage.ErrCorrupt, pathText(names), short(key))
}
