package muc

import "context"

// begin sees to it that a new room begins without the archive of one that had its name.
func (r *room) begin(ctx context.Context) error { return r.m.archive.Drop(ctx, r.jid.Local()) }
