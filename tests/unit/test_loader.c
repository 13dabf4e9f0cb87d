/* Unit tests of the loader: one stream for a seed, resumable at any image, each epoch a permutation, mirrors by position.
   Assumes dataset_get and the drawn set, tested in test_data.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/data.h"

enum { SIDE = 6, SIZE = 3 * SIDE * SIDE, COUNT_ALL = 10 };

/* n images of the stream (seed, flip) from `start`, taken `batch` at a time. */
static float *take(const Dataset *ds, uint64_t seed, bool flip, int64_t start, int batch, int n, float *labels)
{
    Loader *l = loader_new(ds, &(LoaderOptions){.seed = seed, .batch = batch, .flip = flip, .start = start});
    float *images = xmalloc((size_t)n * SIZE * sizeof *images);
    for (int i = 0; i < n; i += batch) {
        assert_int_equal(loader_position(l), start + i);
        loader_next(l, images + (size_t)i * SIZE, labels ? labels + i * 3 : NULL);
    }
    assert_int_equal(loader_position(l), start + n);
    loader_free(l);
    return images;
}

static void test_stream(void **state)
{
    (void)state;
    Dataset *ds = dataset_shapes(SIDE, COUNT_ALL, 0);
    float labels[60 * 3], some[30 * 3];
    float *all = take(ds, 4, true, 0, 1, 60, labels);
    /* Batches of any size, started anywhere, are pieces of the same stream, across epochs too. */
    static const struct { int start, batch, n; } row[] = {{0, 4, 60}, {0, 60, 60}, {7, 1, 3}, {8, 5, 30}, {13, 7, 28}, {30, 30,
        30}};
    for (size_t i = 0; i < COUNT(row); i++) {
        float *part = take(ds, 4, true, row[i].start, row[i].batch, row[i].n, NULL);
        assert_memory_equal(part, all + row[i].start * SIZE, (size_t)row[i].n * SIZE * sizeof *part);
        free(part);
    }
    float *part = take(ds, 4, true, 25, 6, 30, some);
    assert_memory_equal(some, labels + 25 * 3, sizeof some);
    free(part);
    part = take(ds, 5, true, 0, 1, 60, NULL);
    assert_memory_not_equal(part, all, 60 * SIZE * sizeof *part);
    free(part);
    free(all);
    dataset_free(ds);
}

/* A loader of numbers goes through the same images, mirrors and labels as one of images. */
static void test_numbers(void **state)
{
    (void)state;
    Dataset *ds = dataset_shapes(SIDE, COUNT_ALL, 0);
    float labels[24 * 3], label[3], image[SIZE], *all = take(ds, 6, true, 5, 4, 24, labels);
    Loader *l = loader_new(ds, &(LoaderOptions){.seed = 6, .batch = 3, .flip = true, .start = 5, .numbers = true});
    int mirrored = 0;
    for (int i = 0; i < 24; i += 3) {
        uint32_t number[3];
        float own[9];
        loader_next_numbers(l, number, own);
        assert_memory_equal(own, labels + i * 3, sizeof own);
        for (int k = 0; k < 3; k++) {
            dataset_get(ds, number[k] / 2, number[k] & 1, image, label);
            assert_memory_equal(image, all + (i + k) * SIZE, sizeof image);
            mirrored += (int)(number[k] & 1);
        }
    }
    assert_true(loader_position(l) == 29 && mirrored > 4 && mirrored < 20);
    loader_free(l);
    free(all);
    dataset_free(ds);
}

static void test_epochs(void **state)
{
    (void)state;
    Dataset *ds = dataset_shapes(SIDE, COUNT_ALL, 0);
    float labels[30 * 3], want[SIZE], label[3];
    float *all = take(ds, 9, false, 0, 3, 30, labels);
    int64_t order[30];
    for (int e = 0; e < 3; e++) {
        bool seen[COUNT_ALL] = {false};
        for (int i = 0; i < COUNT_ALL; i++) {
            int64_t p = e * COUNT_ALL + i, index = order[p] = loader_index(ds, 9, p);
            assert_false(seen[index]);
            seen[index] = true;
            dataset_get(ds, index, false, want, label);
            assert_memory_equal(want, all + p * SIZE, sizeof want);
            assert_memory_equal(label, labels + p * 3, sizeof label);
        }
    }
    assert_memory_not_equal(order, order + 10, 10 * sizeof order[0]);
    assert_memory_not_equal(order + 10, order + 20, 10 * sizeof order[0]);
    free(all);
    dataset_free(ds);
}

static void test_flip(void **state)
{
    (void)state;
    Dataset *ds = dataset_shapes(SIDE, COUNT_ALL, 0);
    enum { N = 1000 };
    float want[SIZE], mirrored[SIZE];
    float *all = take(ds, 2, true, 0, 100, N, NULL);
    int flips = 0;
    for (int p = 0; p < N; p++) {
        int64_t index = loader_index(ds, 2, p);
        dataset_get(ds, index, false, want, NULL);
        dataset_get(ds, index, true, mirrored, NULL);
        bool flip = memcmp(want, all + p * SIZE, sizeof want) != 0;
        assert_memory_equal(flip ? mirrored : want, all + p * SIZE, sizeof want);
        flips += flip;
    }
    assert_in_range(flips, 430, 570);
    free(all);
    dataset_free(ds);
}

static void test_order_is_fair(void **state)
{
    (void)state;
    /* Each of 5 images at each of 5 places about equally often over 4000 epochs: expected 800, sigma about 25. */
    Dataset *ds = dataset_shapes(SIDE, 5, 0);
    int at[5][5] = {{0}};
    for (int p = 0; p < 20000; p++)
        at[p % 5][loader_index(ds, 1, p)]++;
    for (int i = 0; i < 25; i++)
        assert_in_range(at[i / 5][i % 5], 680, 920);
    dataset_free(ds);
}

static void test_one_image_and_early_end(void **state)
{
    (void)state;
    Dataset *ds = dataset_shapes(SIDE, 1, 0);
    float *all = take(ds, 0, false, 0, 4, 8, NULL);
    assert_memory_equal(all, all + 7 * SIZE, SIZE * sizeof *all);
    free(all);
    for (int i = 0; i < 50; i++)
        loader_free(loader_new(ds, &(LoaderOptions){.batch = 3}));
    loader_free(NULL);
    free(ds->labels);
    ds->labels = NULL;
    ds->label_dim = 0;
    all = take(ds, 0, false, 0, 4, 8, NULL);
    free(all);
    for (int i = 0; i < 3; i++)
        free(ds->class_names[i]);
    free(ds->class_names);
    ds->class_names = NULL;
    dataset_free(ds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stream), cmocka_unit_test(test_numbers), cmocka_unit_test(test_epochs), cmocka_unit_test(test_flip),
            cmocka_unit_test(test_order_is_fair),
        cmocka_unit_test(test_one_image_and_early_end),
    };
    prog_name = "test_loader";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
