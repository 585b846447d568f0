// Features as bytes; any 16 neighbours can be read in one cycle, aligned or not. Words of 16
// bytes alternate between two banks, so that both words which a read touches come at once.
module feature_buffer #(
    parameter integer ADDRESS_BITS = 17    // of a byte
) (
    input  wire                    clock,
    input  wire                    write,
    input  wire [ADDRESS_BITS-5:0] write_word,
    input  wire [127:0]            write_features,
    input  wire [ADDRESS_BITS-1:0] address,
    output wire [127:0]            features     // a cycle after the address
);
    localparam integer INDEX_BITS = ADDRESS_BITS - 5;

    reg [127:0] even[0:(1<<INDEX_BITS)-1];
    reg [127:0] odd [0:(1<<INDEX_BITS)-1];
    reg [127:0] even_word, odd_word;
    reg [4:0]   from;

    wire [INDEX_BITS-1:0] pair = address[ADDRESS_BITS-1:5];
    // From an odd word on, the upper half is the even word of the next pair.
    wire [INDEX_BITS-1:0] even_pair = pair + {{(INDEX_BITS - 1) {1'b0}}, address[4]};

    always @(posedge clock) begin
        if (write && !write_word[0]) even[write_word[ADDRESS_BITS-5:1]] <= write_features;
        even_word <= even[even_pair];
    end
    always @(posedge clock) begin
        if (write && write_word[0]) odd[write_word[ADDRESS_BITS-5:1]] <= write_features;
        odd_word <= odd[pair];
    end
    always @(posedge clock) from <= address[4:0];

    wire [255:0] both = from[4] ? {even_word, odd_word} : {odd_word, even_word};
    // verilator lint_off UNUSEDSIGNAL
    wire [255:0] rotated = both >> {from[3:0], 3'b000};
    // verilator lint_on UNUSEDSIGNAL
    assign features = rotated[127:0];
endmodule
