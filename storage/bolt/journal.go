package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/xmppd/xmppd/storage"
)

// The journal is where a group of changes is on disk first: one write in order and one sync, where the file would take a
// page for each key and two syncs. From there a checkpoint moves them into the file, many at once (checkpoint.go). There are two
// files of it, FILE.journal1 and FILE.journal2, which take turns: one is written while what is in the other is moved. A store
// that was closed well has none.
//
// A journal begins with a head, all numbers big-endian:
//
//	"xmppdj" 0 1       what it is, and its version
//	salt 8             of the database that it belongs to
//	number 8           the file's number of the last journal that was moved into it, and how many came after
//	groups 4           how many groups the journal before has
//	checksum 4         of all this
//
// and goes on with groups:
//
//	length 4           of the changes
//	index 4            from 0 on
//	checksum 4         of salt, number, length, index and the changes
//	changes            see layer.go
//
// What comes behind is zeros, or what is left of an earlier use: no checksum of it fits. A group that was being written when the
// machine stopped is not acknowledged, and its checksum does not fit either.
const (
	journalMagic = "xmppdj\x00\x01"
	journalHead  = 8 + 8 + 8 + 4 + 4
	groupHead    = 4 + 4 + 4

	journalStep = 64 << 10 // what a journal grows by: writing over what is there needs no new entry in the file system
	journalMost = 32 << 20 // what a journal keeps of its size for the next use
)

// disk is what the journal needs of a file.
type disk interface {
	WriteAt(b []byte, off int64) (int, error)
	Truncate(size int64) error
	Close() error
}

// journalFile is one of the two.
type journalFile struct {
	disk
	name string
	size int64 // up to there it is written
}

type journal struct {
	path   string // the database's
	salt   uint64
	number uint64 // of the one that is being written; 0: none yet
	groups uint32 // in it
	at     int64  // where the next goes
	files  [2]*journalFile
	sync   func(f *journalFile) error
	wrap   func(f disk) disk // a test's; nil: nothing
}

// Journals names the files that a database may have beside it, while it is open or was not closed well.
func Journals(path string) []string { return []string{journalName(path, 0), journalName(path, 1)} }

func journalName(path string, i int) string { return fmt.Sprintf("%s.journal%d", path, i+1) }

// file is the one whose turn it is for a number.
func (j *journal) file(number uint64) *journalFile { return j.files[number%2] }

// begin begins the next journal, in the file of the one before the last. What it writes is on disk with the first group.
func (j *journal) begin() error {
	for i, f := range j.files { // both: the end of a layer is no time to find that the disk is full
		if f == nil {
			made, err := j.create(journalName(j.path, i))
			if err != nil {
				return fmt.Errorf("%w: %w", errMake, err)
			}
			j.files[i] = made
		}
	}
	f := j.file(j.number + 1)
	if f.size > journalMost {
		if err := f.Truncate(journalMost); err != nil {
			return err
		}
		f.size = journalMost
	}
	head := append(make([]byte, 0, journalHead), journalMagic...)
	head = binary.BigEndian.AppendUint64(head, j.salt)
	head = binary.BigEndian.AppendUint64(head, j.number+1)
	head = binary.BigEndian.AppendUint32(head, j.groups)
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	if _, err := f.WriteAt(head, 0); err != nil {
		return err
	}
	j.number, j.groups, j.at = j.number+1, 0, journalHead
	return nil
}

// create makes a file that is found after a crash.
func (j *journal) create(name string) (*journalFile, error) {
	f, err := openNoFollow(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	jf := &journalFile{disk: f, name: name}
	if err = f.Chmod(0o600); err == nil { // whatever the umask took
		_, err = f.WriteAt(make([]byte, journalStep), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = storage.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		f.Close()
		os.Remove(name)
		return nil, err
	}
	jf.size = journalStep
	if j.wrap != nil {
		jf.disk = j.wrap(f)
	}
	return jf, nil
}

// append has a group on disk when it returns nil. Its first groupHead bytes are overwritten.
func (j *journal) append(group []byte) error {
	if j.number == 0 {
		if err := j.begin(); err != nil {
			return err
		}
	}
	f := j.file(j.number)
	body := group[groupHead:]
	binary.BigEndian.PutUint32(group, uint32(len(body)))
	binary.BigEndian.PutUint32(group[4:], j.groups)
	binary.BigEndian.PutUint32(group[8:], j.sum(j.groups, body))
	end := j.at + int64(len(group))
	if end > f.size {
		if err := j.grow(f, end); err != nil && !noSpace(err) {
			return err
		}
	}
	if _, err := f.WriteAt(group, j.at); err != nil {
		return err
	}
	f.size = max(f.size, end)
	if err := j.sync(f); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	j.at, j.groups = end, j.groups+1
	return nil
}

// errMake is part of the error of making a file for the journal: nothing is lost by that, and the next write tries again.
var errMake = errors.New("no journal could be made")

// errSync is part of the error of a sync: what is on disk is unknown then, whatever the reason.
var errSync = errors.New("sync")

// grow writes zeros from the end on, so that there is room to the given one and somewhat beyond.
func (j *journal) grow(f *journalFile, end int64) error {
	to := end + journalStep
	zeros := make([]byte, journalStep)
	for f.size < to {
		n, err := f.WriteAt(zeros[:min(journalStep, to-f.size)], f.size)
		f.size += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) sum(index uint32, body []byte) uint32 {
	var head [24]byte
	binary.BigEndian.PutUint64(head[:], j.salt)
	binary.BigEndian.PutUint64(head[8:], j.number)
	binary.BigEndian.PutUint32(head[16:], index)
	binary.BigEndian.PutUint32(head[20:], uint32(len(body)))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, body)
}

// close lets go of the files, and removes them where all that they say is in the database.
func (j *journal) close(remove bool) {
	for _, f := range j.files {
		if f == nil {
			continue
		}
		f.Close()
		if remove {
			os.Remove(f.name)
		}
	}
	j.files = [2]*journalFile{}
}

// A readJournal is what was found in one of the files.
type readJournal struct {
	journal
	i      int // which file
	before uint32
	layer  *layer
	size   int64
	wild   []byte // the content of a file whose head is none
}

// readJournals reads what there is beside a database, in order. A file in which nothing was ever acknowledged is none.
func readJournals(path string) (list []*readJournal, err error) {
	for i := range 2 {
		r, err := readJournalFile(path, i)
		if err != nil {
			return nil, err
		}
		if r != nil {
			list = append(list, r)
		}
	}
	if len(list) == 2 && list[1].wild == nil && list[0].number > list[1].number {
		list[0], list[1] = list[1], list[0]
	}
	return list, nil
}

func readJournalFile(path string, i int) (*readJournal, error) {
	name := journalName(path, i)
	fi, err := os.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("storage: %w", err)
	}
	b, err := storage.ReadSecretFile(name, int(fi.Size()))
	if err != nil {
		return nil, err
	}
	r, err := parseJournal(b)
	if err != nil {
		return nil, fmt.Errorf("storage: %s: %w; it was left as it is: put a backup in the place of the database, and move both its journals away (doc/operating.md)", name, err)
	}
	if r != nil {
		r.i, r.size = i, int64(len(b))
	}
	return r, nil
}

// parseJournal reads a file's content; nil where nothing was written to it. What follows a group that does not fit must not hold
// one that does: then what was acknowledged is damaged.
func parseJournal(b []byte) (*readJournal, error) {
	n := binary.BigEndian
	switch {
	case len(bytes.TrimLeft(b, "\x00")) == 0:
		return nil, nil
	case len(b) < journalHead || string(b[:8]) != journalMagic || n.Uint32(b[journalHead-4:]) != crc32.Checksum(b[:journalHead-4], castagnoli):
		return &readJournal{wild: b}, nil
	}
	r := &readJournal{layer: newLayer(), before: n.Uint32(b[24:])}
	r.salt, r.number, r.at = n.Uint64(b[8:]), n.Uint64(b[16:]), journalHead
	for {
		body, ok := r.group(b[r.at:], r.groups)
		if !ok {
			break
		}
		if err := r.layer.replay(body); err != nil {
			return nil, fmt.Errorf("%w: at byte %d: %w", storage.ErrCorrupt, r.at, err)
		}
		r.at, r.groups = r.at+groupHead+int64(len(body)), r.groups+1
	}
	if r.further(b, r.at+1, r.groups+1) {
		return nil, fmt.Errorf("%w: at byte %d, and what follows was acknowledged", storage.ErrCorrupt, r.at)
	}
	return r, nil
}

// groupMark stands in each group from the third byte of its changes on: they begin with a bucket, and that with rootData.
const groupMark = "\x04data"

// further tells whether a group of at least this index begins somewhere from a place on. Of what is left of earlier uses much looks
// like an index and a length: without the mark, sums would be made of half the file again and again.
func (r *readJournal) further(b []byte, at int64, index uint32) bool {
	const mark = groupHead + 2
	for ; at+mark+int64(len(groupMark)) <= int64(len(b)); at++ {
		if string(b[at+mark:at+mark+int64(len(groupMark))]) != groupMark {
			continue
		}
		if i := binary.BigEndian.Uint32(b[at+4:]); i >= index && i < index+1<<20 {
			if _, ok := r.group(b[at:], i); ok {
				return true
			}
		}
	}
	return false
}

// group reads the group that b begins with.
func (r *readJournal) group(b []byte, index uint32) (body []byte, ok bool) {
	n := binary.BigEndian
	if len(b) < groupHead || n.Uint32(b[4:]) != index {
		return nil, false
	}
	size := int64(n.Uint32(b))
	if size == 0 || size > int64(len(b)-groupHead) {
		return nil, false
	}
	body = b[groupHead : groupHead+size : groupHead+size]
	return body, r.sum(index, body) == n.Uint32(b[8:])
}
