package stream

// records is the reading side of a wire below TLS. It belongs to the reading goroutine.
//
// TLS gets no byte beyond the record that it asks for. So nothing is left inside it when it has handed out all of a record,
// and who has nothing to read can wait for the socket itself instead of inside TLS: that takes half of the stack, which is
// most of what an idle connection costs.
type records struct {
	framed bool   // what arrives are records
	head   uint8  // bytes of the current record's header that TLS has got
	rest   uint16 // bytes of its body to come, once the header is complete
	in     *chunk // was read by idle, and TLS has not got it
	parks  bool   // the reader would rather park than wait, between records
}

// recordHeader is type, version and length (RFC 8446 §5.1).
const recordHeader = 5

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	switch {
	case w.in != nil:
		src := w.in.b[w.in.off:]
		n := 0
		if w.framed {
			n = w.pass(p, src)
		} else {
			n = copy(p, src)
		}
		if w.in.off += n; w.in.off == len(w.in.b) {
			w.in.free()
			w.in = nil
		}
		return n, nil
	case !w.framed:
		return w.Conn.Read(p)
	case w.parks && w.head == 0:
		return 0, ErrIdle // that was a record without text for us, such as one that changes keys
	}
	want := int(w.rest)
	if w.head < recordHeader {
		want = int(recordHeader - w.head)
	}
	n, err := w.Conn.Read(p[:min(len(p), want)])
	w.pass(p[:n], p[:n])
	return n, err
}

// pass copies what of src belongs to the current record into p.
func (w *wire) pass(p, src []byte) (n int) {
	for n < len(p) && n < len(src) {
		if w.head == recordHeader {
			m := copy(p[n:], src[n:min(len(src), n+int(w.rest))])
			n += m
			if w.rest -= uint16(m); w.rest > 0 {
				continue
			}
			w.head = 0
			return n
		}
		p[n] = src[n]
		w.rest = w.rest<<8 | uint16(src[n]) // in the end the last two bytes
		n++
		if w.head++; w.head == recordHeader && w.rest == 0 {
			w.head = 0
			return n
		}
	}
	return n
}

// between tells whether nothing has been read of what TLS will ask for next.
func (w *wire) between() bool { return w.in == nil && w.head == 0 }

// idle waits until the socket has something, and reads it. The caller knows that TLS holds nothing; it returns at once
// where that is not enough to know, or nothing can be waited for.
func (w *wire) idle() error {
	if !w.framed || !w.between() {
		return nil
	}
	switch d := w.direct; {
	case w.poll != nil:
		for {
			if err := w.poll.wait(); err != nil {
				return err
			}
			if err := w.fetch(); err != ErrIdle {
				return err
			}
		}
	case d != nil:
		if err := d.raw.Read(d.fetch); err != nil {
			return err
		}
		err := d.fetchErr
		w.in, d.in, d.fetchErr = d.in, nil, nil
		return err
	}
	return nil
}

// fetch reads what the socket has, or fails with ErrIdle.
func (w *wire) fetch() error {
	ch := newChunk(0)
	n, err := w.poll.readNow(ch.b[:cap(ch.b)])
	if err != nil {
		ch.free()
		return err
	}
	ch.b = ch.b[:n]
	w.in = ch
	return nil
}
