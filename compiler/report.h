/* ectc report: a plan as one HTML page (docs/report.md).
   Assumes nothing of the compiler's graphs: it reads the plan's folder, as ect-rt does. */
#ifndef ECT_REPORT_H
#define ECT_REPORT_H

/* Arguments after `report`: PLAN -o FILE. Writes the page whole or not at all, prints its size, returns the exit status. A plan
   that is damaged or of another version is the user's error (exits 1), a file that cannot be written the machine's (exits 2). */
int report_command(int argc, char **argv);
#endif
