package bolt

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// The layout of the file, format 1. Every value is a record (record.go); every bolt bucket bears its mark.
//
//	"meta"                     "format": number, "state": "open" or "clean"
//	"data"                     a bucket: of the empty path
//	bucket: 'b' element        a bucket below
//	        'k' name           a KV: key → value
//	        'a' name           an archive:
//	                           "f": the highest ID that a dropped owner had
//	                           owner "\x00c": counters
//	                           owner "\x00o": 'i' id → item
//	                                          'w' length with id → nothing: the index of With
var (
	rootMeta  = []byte("meta")
	rootData  = []byte("data")
	keyFormat = []byte("format")
	keyState  = []byte("state")
)

const (
	kindBucket  = 'b'
	kindKV      = 'k'
	kindArchive = 'a'
)

func child(kind byte, name string) []byte { return append([]byte{kind}, name...) }

// steps are the names of the nested bolt buckets from the root to a part of a bucket; kind 0: the bucket itself.
func steps(path []string, kind byte, name string) [][]byte {
	s := make([][]byte, 0, len(path)+2)
	s = append(s, rootData)
	for _, p := range path {
		s = append(s, child(kindBucket, p))
	}
	if kind != 0 {
		s = append(s, child(kind, name))
	}
	return s
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

// ensure finds or makes a nested bucket.
func (w *writeTx) ensure(p parent, names ...[]byte) (b *bolt.Bucket, err error) {
	for i := range names {
		n := names[i : i+1]
		err = guard(func() (err error) { b, err = open(p, n); return err })
		if err == nil && b == nil {
			w.dirty = true
			err = change(func() error {
				if b, err = p.CreateBucket(n[0]); err != nil {
					return err
				}
				return b.SetSequence(bucketMark(n[0]))
			})
		}
		if err != nil {
			return nil, err
		}
		p = b
	}
	return b, nil
}

// pathText writes the names of nested buckets for people, such as "modules"/"localhost"/"roster".
func pathText(names [][]byte) string {
	var b bytes.Buffer
	for i, n := range names {
		if i == 0 && bytes.Equal(n, rootData) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('/')
		}
		switch {
		case i > 0 && len(n) >= 2 && n[len(n)-2] == 0: // an archive's owner
			n = n[:len(n)-2]
		case i > 0 && len(n) > 0:
			n = n[1:]
		}
		fmt.Fprintf(&b, "%q", short(n))
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
