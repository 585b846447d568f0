// Holds a value back for a number of cycles, 0 included.
module delay #(
    parameter integer WIDTH  = 8,
    parameter integer CYCLES = 1
) (
    input  wire             clock,
    input  wire [WIDTH-1:0] in,
    output wire [WIDTH-1:0] out
);
    genvar stage;
    generate
        if (CYCLES == 0) begin : at_once
            assign out = in;
            // verilator lint_off UNUSEDSIGNAL
            wire unused = clock;
            // verilator lint_on UNUSEDSIGNAL
        end else begin : held
            wire [WIDTH-1:0] line[0:CYCLES];
            assign line[0] = in;
            for (stage = 0; stage < CYCLES; stage = stage + 1) begin : stages
                reg [WIDTH-1:0] value;
                always @(posedge clock) value <= line[stage];
                assign line[stage+1] = value;
            end
            assign out = line[CYCLES];
        end
    endgenerate
endmodule
