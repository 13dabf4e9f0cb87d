/* Weights in 2 bytes: operands of contractions that are parameters are read from an image of the flat array in the contraction's precision, which the segment's first
   kernel writes: half the bytes in each block that reads them, and nothing left to do but copy them. The image belongs to the segment, so whoever sets the
   weights (the optimizer, an EMA that samples, a checkpoint) need not know of it.
   Assumes it is called while a segment is lowered, write_images last. */
#include "compiler/lower.h"
#include "compiler/elaborate.h"

static int image(Lower *c, Sym set)
{
    Lowered *l = c->l;
    for (int i = 0; i < l->n_buf; i++)
        if (l->buf[i].kind == BUF_ARENA && l->buf[i].set == set && l->buf[i].type == c->halve && !l->buf[i].whole) return i;
    int64_t all = param_elements(l->m);
    Buffer b = {.kind = BUF_ARENA, .name = arena_printf(l->arena, "weights.%s%s%s", number_info[c->halve].name, *set ? "." : "", set), .set = set, .type = c->halve, .elements = all,
                .layout = {.n = 1, .axis = {{sym("e"), all}}}};
    return add_buffer(l, b);
}

int image_part(Lower *c, Buffer p)
{
    Lowered *l = c->l;
    int whole = image(c, p.set) + 1;
    for (int i = 0; i < l->n_buf; i++)
        if (l->buf[i].whole == whole && l->buf[i].from == p.offset) return i;
    return add_buffer(l, (Buffer){.kind = BUF_ARENA, .name = p.name, .set = p.set, .type = c->halve, .whole = whole, .from = p.offset,
                                  .elements = p.elements, .layout = p.layout});
}

bool plain_weight(const Graph *g, Ref r)
{
    for (; op_info[N(g, r)->op].cls == OPC_VIEW; r = N(g, r)->in[0]) {
        Op op = N(g, r)->op;
        if (op != OP_rename && op != OP_rearrange && op != OP_slice && op != OP_pick && op != OP_expand) return false;
    }
    return N(g, r)->op == OP_param;
}

void write_images(Lower *c)
{
    Lowered *l = c->l;
    for (int i = 0, first = 0; i < l->n_buf; i++) {
        if (l->buf[i].kind != BUF_ARENA || !l->buf[i].set || l->buf[i].whole) continue;
        const Buffer half = l->buf[i];
        Kernel *k = c->k = kernel_new(l, KERNEL_MAP, 0);
        Buffer flat = {.kind = BUF_PARAM, .name = half.name, .set = half.set, .elements = half.elements, .layout = half.layout};
        k->n_out = 1;
        k->out_axes[0] = half.layout.axis[0];
        k->out[0] = new_loop(k, half.layout.axis[0].role, half.elements);
        IRef at = ix_loop(k, k->out[0]);
        KRef w = kx(k, (KExpr){.kind = K_LOAD, .slot = kernel_slot(k, add_buffer(l, flat)), .index = at});
        k->store[k->n_store++] = (Store){.slot = kernel_slot(k, i), .offset = at, .value = rounded(c, half.type, w, 0), .layout = half.layout};
        k->flops = half.elements;
        k->reason = "all parameters in 2 bytes, for the contractions that multiply them";
        memmove(l->kernel + first + 1, l->kernel + first, sizeof *l->kernel * (size_t)(l->n_kernel - 1 - first));
        l->kernel[first++] = k;
    }
}
