// Output-stationary: element (r, c) keeps the sums of feature row r with the weight pair of
// column c. Features move right and weights down, a cycle a hop; rows and columns enter with a
// delay of their number, so that matching steps meet.
module systolic_array #(
    parameter integer ROWS  = 16,
    parameter integer PAIRS = 8
) (
    input  wire                clock,
    input  wire [ROWS*8-1:0]   features,
    input  wire                first,
    input  wire [PAIRS*25-1:0] weights,
    input  wire                shift,
    output wire [ROWS*32-1:0]  results,   // of the channel at the head of the drain chain
    output wire                captured   // the last element has captured its sums
);
    genvar r, c;

    wire [7:0]  feature[0:ROWS-1][0:PAIRS];
    wire        mark   [0:ROWS-1][0:PAIRS];
    wire [24:0] weight [0:ROWS][0:PAIRS-1];
    wire [31:0] chain  [0:ROWS-1][0:PAIRS];
    wire        capture[0:ROWS-1][0:PAIRS-1];

    assign captured = capture[ROWS-1][PAIRS-1];

    generate
        for (c = 0; c < PAIRS; c = c + 1) begin : tops
            delay #(.WIDTH(25), .CYCLES(c)) skew (
                .clock(clock), .in(weights[c*25+:25]), .out(weight[0][c])
            );
        end
        for (r = 0; r < ROWS; r = r + 1) begin : rows
            delay #(.WIDTH(9), .CYCLES(r)) skew (
                .clock(clock),
                .in({first, features[r*8+:8]}),
                .out({mark[r][0], feature[r][0]})
            );
            assign chain[r][PAIRS] = 32'd0;
            assign results[r*32+:32] = chain[r][0];
            for (c = 0; c < PAIRS; c = c + 1) begin : columns
                processing_element element (
                    .clock(clock),
                    .feature_in(feature[r][c]),
                    .first_in(mark[r][c]),
                    .weights_in(weight[r][c]),
                    .shift(shift),
                    .chain_in(chain[r][c+1]),
                    .feature_out(feature[r][c+1]),
                    .first_out(mark[r][c+1]),
                    .weights_out(weight[r+1][c]),
                    .chain_out(chain[r][c]),
                    .capture(capture[r][c])
                );
            end
        end
    endgenerate

    // What leaves at the right and at the bottom, and when inner elements capture, is not used.
    // verilator lint_off UNUSEDSIGNAL
    wire unused = &{1'b0, feature[0][PAIRS], mark[0][PAIRS], weight[ROWS][0], capture[0][0]};
    // verilator lint_on UNUSEDSIGNAL
endmodule
